"""Files stay small, each module is tested somewhere, SpikingJelly is touched in one place, and no file knows which backbone there is."""

import ast
import re

import rooms

from pipeline.command_line import CATALOGUE
from pipeline.core.paths import ROOT

TESTED = re.compile(r"^# Tested in (tests/\S+\.py)$", re.M)
FILES = {name: file for name, file in rooms.modules(ROOT).items() if file.name != "__init__.py"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def test_spikingjelly_is_touched_in_one_place():
    users = [name for name, file in FILES.items() if any(module.startswith("spikingjelly") for module in imported(file))]
    assert users == ["models.neuron"]


def test_modules_and_functions_stay_short():
    for file in FILES.values():
        text = file.read_text()
        assert text.count("\n") <= 300, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 50, (file, node.name)


def test_every_module_has_a_test_file_of_its_name_or_says_which_one_tests_it():
    """The one that is named has a name of the module in it or in what it shares with others, or runs whole campaigns."""
    for name, file in FILES.items():
        own = ROOT / "tests" / file.relative_to(ROOT).parent / f"test_{file.stem}.py"
        if own.exists():
            continue
        text = file.read_text()
        tests = [ROOT / test for test in TESTED.findall(text)]
        assert tests, f"{name} has no {own.relative_to(ROOT)}: add it, or a line '# Tested in tests/...' below its docstring"
        for test in tests:
            assert test.exists(), (name, test)
            shared = [path for path in test.parent.glob("*.py") if not path.name.startswith("test_")]
            whole = test.relative_to(ROOT / "tests").parts[0] in ("workflow", "faults", "cluster", "test_contracts.py")
            said = "".join(path.read_text() for path in (test, *shared))
            assert whole or any(re.search(rf"\b{word}\b", said) for word in (file.stem, *public_names(text))), (name, test)


def public_names(text):
    """The functions, classes and constants of a module."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def test_a_test_file_of_a_modules_name_is_where_the_module_is():
    """tests/ mirrors the tree; other tests lie where they belong to no single module."""
    mirrored = [file for package in ("models", "baselines", "pipeline") for file in (ROOT / "tests" / package).rglob("test_*.py")]
    assert len(mirrored) > 40
    for file in mirrored:
        assert (ROOT / file.parent.relative_to(ROOT / "tests")).is_dir(), file


KNOW_A_BACKBONE = {  # by name, and why
    "models.convert": "reads published weights of two of them",
    "models.spikingformer.network": "is made of Spikformer's layers in another order",
    "baselines.a_vit": "is a method for networks without spikes",
    "pipeline.campaign.declaration": "has the paper's backbone as default",
    "pipeline.campaign.titles": "names backbones in titles where they are not the paper's",
    "pipeline.reporting.tables.readings": "compares with the paper, whose table has one backbone",
    "pipeline.reporting.claims.evidence": "measures the paper's sentences on the networks that they are about",
    "pipeline.reporting.claims.measures": "measures the paper's sentences on the networks that they are about",
}


def test_nothing_but_a_backbones_folder_and_the_paper_knows_its_name():
    """A backbone is added by its folder and the declaration: no other file imports one, or has its name, its title or the paper's."""
    folders = [f"models.{backbone}" for backbone in CATALOGUE.backbones.names]
    words = {*CATALOGUE.backbones.names, *(CATALOGUE.backbones[name].TITLE for name in CATALOGUE.backbones.names)}
    knowing, imports = set(), rooms.graph(ROOT)
    for name, file in rooms.modules(ROOT).items():
        own = [folder for folder in folders if name == folder or name.startswith(f"{folder}.")]
        tree = ast.parse(file.read_text())
        others = {
            module
            for module in imports[name]
            for folder in folders
            if f"{module}.".startswith(f"{folder}.") and folder not in own
        }
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        if (
            others
            or (not own and strings & words)
            or "PAPERS_BACKBONE" in names | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        ):
            knowing.add(name)
    assert knowing == set(KNOW_A_BACKBONE)


def reads_or_writes_text(call):
    """Whether a call reads or writes a text file, opens one for writing, or takes a program's output as text."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    writes = any(isinstance(argument, ast.Constant) and argument.value in ("w", "a", "x") for argument in call.args)
    return name in ("read_text", "write_text") or (name == "open" and writes) or any(word.arg == "text" for word in call.keywords)


def test_text_is_utf_8_whatever_the_shells_encoding_is():
    """A call that takes no `encoding` uses the locale's, in which a γ of a table may have no bytes, or others."""
    for file in FILES.values():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and reads_or_writes_text(node):
                assert "encoding" in {word.arg for word in node.keywords}, f"{file}:{node.lineno}: give encoding"


ADDED_IN_THE_GUIDE = {"baselines/last_step.py", "models/spiking_mlp", "pipeline/reporting/figures/firing.py"}


def test_every_file_and_module_that_a_page_or_a_docstring_names_is_there():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "dvc.yaml", *(ROOT / "models/native").glob("*.cpp")]
    for page in (page for page in [*pages, *FILES.values()] if page.name not in ("CHANGELOG.md", "RESULTS.md")):
        text = page.read_text()
        for path in re.findall(r"(?<![\w/.-])((?:pipeline|models|baselines|tests|workflow)/[\w./]*\w)", text):
            assert (ROOT / path).exists() or any(path.startswith(added) for added in ADDED_IN_THE_GUIDE), (page, path)
        for name in re.findall(r"`((?:pipeline|models)(?:\.[a-z_0-9]+)+)", text):
            parts = name.split(".")
            places = [ROOT.joinpath(*parts[:length]) for length in (len(parts), len(parts) - 1) if length > 1]
            assert any(place.is_dir() or place.with_suffix(".py").exists() for place in places), (page, name)
