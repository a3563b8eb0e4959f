"""The house keeps its shape: imports point one way, from the commands down to core, and nothing imports by name but the catalogue."""

import shutil
import subprocess
import sys

import pytest
import rooms

from pipeline.core.paths import ROOT

HIGHER = "pipeline.training.trainer"


@pytest.fixture
def copy(tmp_path):
    """The packages' Python files, to be changed."""
    for package in ("models", "baselines", "pipeline"):
        ignore = shutil.ignore_patterns("__pycache__", "*.h", "*.cpp", "*.csv", "*.yaml", "*.j2", "*.css")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignore)
    return tmp_path


def test_no_import_goes_up_and_none_is_by_name():
    assert len(rooms.graph(ROOT)) > 130 and not rooms.wrong_imports(ROOT)


def test_no_modules_import_each_other_in_a_circle():
    assert not rooms.loops(ROOT)


@pytest.mark.parametrize(
    "room, line, said",
    (
        ("core/checksums", f"import {HIGHER}", f"imports {HIGHER}"),
        ("core/checksums", "from pipeline.training import trainer", f"imports {HIGHER}"),
        ("core/checksums", "from ..training import trainer", f"imports {HIGHER}"),
        (
            "data/prepared",
            "def late():\n    from pipeline.campaign.campaign import Campaign",
            "imports pipeline.campaign.campaign",
        ),
        ("evaluation/measure", "def late():\n    import pipeline.train", "imports pipeline.train"),
        ("campaign/campaign", f"import importlib\nimportlib.import_module('{HIGHER}')", f"names {HIGHER}"),
        ("campaign/campaign", "import importlib\nimportlib.import_module('pipeline.' + 'figures')", "by name, with importlib"),
        ("campaign/campaign", "from importlib import import_module as load", "by name, with import_module"),
        ("mirror/fill", "def late(room):\n    return __import__(f'pipeline.{room}')", "by name, with __import__"),
        ("mirror/fill", f"LATER = '{HIGHER}:Trainer'", f"names {HIGHER}"),
        ("mirror/fill", f"LATER = '{HIGHER}.Trainer'", f"names {HIGHER}"),
        ("mirror/fill", f"LATER = '-c', 'from {HIGHER} import Trainer'", f"names {HIGHER}"),
        ("mirror/fill", "import pipeline\nlater = pipeline", "by name, with pipeline"),
        ("mirror/fill", "from pipeline import *", "by name, with *"),
        ("mirror/fill", "from pkgutil import resolve_name", "by name, with resolve_name"),
        ("mirror/fill", "from runpy import run_module as later", "by name, with run_module"),
        ("mirror/fill", "from importlib.util import find_spec", "by name, with find_spec"),
        ("mirror/fill", "from pydoc import locate", "by name, with locate"),
        ("mirror/fill", "import builtins\nbuiltins.__import__('x')", "by name, with builtins"),
        (
            "mirror/fill",
            "from pipeline.core.catalogue import Shelf\nLATER = Shelf(None, 'room')",
            "by name, with a Shelf of its own",
        ),
        ("mirror/fill", "if False:\n    from pipeline.reporting.page import report", "imports pipeline.reporting.page.report"),
        ("reporting/tables/table1", "from pipeline.reporting.drawing import canvas", "imports pipeline.reporting.drawing.canvas"),
        ("reporting/figures/masking", "from pipeline.reporting.claims import judge", "imports pipeline.reporting.claims.judge"),
        ("train", "from pipeline import evaluate", "imports pipeline.evaluate"),
    ),
)
def test_an_import_of_a_higher_room_is_found_wherever_it_stands(copy, room, line, said):
    file = copy / f"pipeline/{room}.py"
    file.write_text(file.read_text() + f"\n{line}\n")
    name = f"pipeline.{room.replace('/', '.')}"
    assert f"{name} {said}" in "\n".join(rooms.wrong_imports(copy)).replace("imports by name", "by name")


@pytest.mark.parametrize(
    "package, other", (("models", "pipeline.core.errors"), ("baselines", "pipeline.core.errors"), ("models", "baselines"))
)
def test_a_package_imports_from_those_before_it_only(copy, package, other):
    file = copy / package / "late.py"
    file.write_text(f"def late():\n    import {other}\n")
    assert rooms.wrong_imports(copy) == [f"{package}.late imports {other}"]


@pytest.mark.parametrize("place", ("baselines/static", "models/merging", "pipeline/__init__"))
def test_no_package_imports_by_name(copy, place):
    file = copy / f"{place}.py"
    file.write_text(file.read_text() + "\nimport importlib\n\nlater = lambda room: importlib.import_module(f'pipeline.{room}')\n")
    name = place.replace("/", ".").removesuffix(".__init__")
    assert rooms.wrong_imports(copy) == [f"{name} imports by name, with importlib"]


def test_a_circle_is_found(copy):
    file = copy / "pipeline/core/errors.py"
    file.write_text(file.read_text() + "\ndef late():\n    from pipeline.core import atomic_files\n")
    (circle, again) = rooms.loops(copy)
    assert circle == again == ["pipeline.core.atomic_files", "pipeline.core.errors"]


@pytest.mark.parametrize("room", rooms.ROOMS)
def test_a_room_says_what_belongs_in_it(room):
    first = (ROOT / "pipeline" / room / "__init__.py").read_text().splitlines()[0]
    assert first.startswith('"""') and len(first) > 40


def test_the_first_level_holds_commands_and_what_they_share():
    for file in (ROOT / "pipeline").glob("*.py"):
        if file.stem not in ("__init__", "command_line"):
            text = file.read_text()
            assert "def main()" in text and f'run_stage(main, "{file.stem}")' in text and text.count("\n") < 60, file


HEAVY = ("torch", "torchvision", "timm", "spikingjelly", "pandas", "matplotlib", "scipy", "mlflow")


@pytest.mark.parametrize("scale", ("smoke", "laptop", "paper"))
def test_a_declaration_is_read_where_nothing_heavy_is_installed(scale):
    """Every job of the graph reads it: without torch, pandas and matplotlib, which can't even be imported here."""
    code = f"import sys; sys.modules |= dict.fromkeys({HEAVY})\n"  # None: importing it raises ImportError
    code += "from pipeline.command_line import CATALOGUE, open_campaign\n"
    code += f"campaign = open_campaign({scale!r}); assert campaign.evaluations\n"
    code += "[CATALOGUE.figures[n] for n in CATALOGUE.figures.names]; [CATALOGUE.methods[n] for n in CATALOGUE.methods.names]\n"
    code += "[CATALOGUE.backbones[n].Settings for n in CATALOGUE.backbones.names]; [CATALOGUE.datasets[n] for n in CATALOGUE.datasets.names]\n"
    code += f"print(sorted(name for name in {HEAVY} if sys.modules.get(name)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr
