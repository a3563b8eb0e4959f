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
    for name, file in FILES.items():
        package, *_, stem = name.split(".")
        place = file.relative_to(ROOT).parent
        own = ROOT / "tests" / place / f"test_{stem}.py"
        if own.exists():
            continue
        places = TESTED.findall(file.read_text())
        assert places, f"{name} has no {own.relative_to(ROOT)}: add it, or a line '# Tested in tests/...' below its docstring"
        assert all((ROOT / test).exists() for test in places), (name, places)


def test_a_test_file_of_a_modules_name_is_where_the_module_is():
    """tests/ mirrors the tree; other tests lie where they belong to no single module."""
    mirrored = [file for package in ("models", "baselines", "pipeline") for file in (ROOT / "tests" / package).rglob("test_*.py")]
    assert len(mirrored) > 40
    for file in mirrored:
        assert (ROOT / file.parent.relative_to(ROOT / "tests")).is_dir(), file


def test_nothing_but_a_backbones_folder_and_the_papers_claims_knows_its_name():
    """A backbone is added by its folder and the declaration. Of others' files that name one: what reads published weights, the
    method for networks without spikes, and the paper's sentences and networks.
    """
    allowed = {"models.convert", "baselines.a_vit", "pipeline.campaign.declaration", "pipeline.reporting.claims.evidence"}
    allowed |= {"pipeline.reporting.claims.measures"}
    for name, file in FILES.items():
        if name in allowed or any(name.startswith(f"models.{backbone}.") for backbone in CATALOGUE.backbones.names):
            continue
        tree = ast.parse(file.read_text())
        backbones = {f"models.{backbone}" for backbone in CATALOGUE.backbones.names}
        modules = {module for module in imported(file) if any(module.startswith(backbone) for backbone in backbones)}
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        assert not modules and not strings & set(CATALOGUE.backbones.names), (name, modules)


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
