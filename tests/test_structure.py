"""The house keeps its shape: imports point one way, pins are equal, everything found by its name keeps its contract."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

import baselines
import pipeline.data.datasets
import pipeline.reporting.figures
from pipeline.core.paths import ROOT

ROOMS = ("models", "baselines", "pipeline", "workflow")
EXTERNAL_PINS = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+)", re.M)


def modules(room):
    return sorted((ROOT / room).rglob("*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def found(package):
    return [module.name for module in pkgutil.iter_modules(package.__path__)]


@pytest.mark.parametrize("room", ROOMS[:-1])  # the last has no later one
def test_imports_point_one_way(room):
    later = ROOMS[ROOMS.index(room) + 1 :]
    wrong = [
        (str(path.relative_to(ROOT)), name) for path in modules(room) for name in imported(path) if name.split(".")[0] in later
    ]
    assert modules(room) and not wrong


def test_spikingjelly_is_touched_in_one_place():
    users = [
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in modules(room)
        if any(n.startswith("spikingjelly") for n in imported(path))
    ]
    assert users == ["models/neuron.py"]


def test_modules_and_functions_stay_short():
    for path in (path for room in ROOMS for path in modules(room)):
        text = path.read_text()
        assert text.count("\n") <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 50, (path, node.name)


def test_conda_users_get_the_pins_of_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert python == "python=3.11" and pip == "pip" and packages == {"pip": ["-r requirements.lock"]}


def test_the_lock_pins_and_hashes_everything_that_the_project_asks_for():
    lock = (ROOT / "requirements.lock").read_text()
    pins = dict(EXTERNAL_PINS.findall(lock))
    for wanted in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        name, _, version = re.sub(r"\[.*\]", "", wanted).partition("==")  # extras are pins of their own
        assert name in pins and (not version or pins[name] == version), wanted
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.M)[1:]
    assert len(blocks) >= len(pins) > 100 and all("--hash=sha256:" in block for block in blocks)


def test_the_lock_holds_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock and "index-url" not in lock.replace("--no-emit-index-url", "")


@pytest.mark.parametrize("name", found(baselines))
def test_a_method_keeps_its_contract(name):
    check_method(name)


def check_method(name):
    """It is named, starts from somewhere known, and trains, or stops early, or both."""
    method = importlib.import_module(f"baselines.{name}")
    required = {key: 5 for key, field in method.Options.model_fields.items() if field.is_required()}
    options = method.Options(**required)
    assert options.model_config["frozen"] and options.model_config["extra"] == "forbid"
    assert baselines.label(method.TITLE, options).startswith(method.TITLE)
    assert method.PARENTS and set(method.PARENTS) <= {None, *found(baselines)}
    trains, exits = hasattr(method, "loss"), hasattr(method, "confidence")
    assert trains == hasattr(method, "build") and (trains or exits)
    if trains:
        check_training(method, options)
    else:
        assert None not in method.PARENTS and all(
            hasattr(importlib.import_module(f"baselines.{p}"), "loss") for p in method.PARENTS
        )
    if exits:
        check_exit(method.confidence)


def check_training(method, options):
    """Built on a small network, its loss falls when the right class gains, and reaches every weight."""
    import torch

    from models.spikformer import Spikformer

    torch.manual_seed(0)
    network = method.build(Spikformer(depth=2, width=16, heads=2), options)
    output = network(torch.randn(2, 3, 32, 32))
    assert output.logits.shape == (4, 2, 10)
    target = torch.nn.functional.one_hot(torch.tensor([3, 4]), 10).float()
    better = output._replace(logits=output.logits + 5 * target)
    assert method.loss(better, target, options) < method.loss(output, target, options)
    method.loss(output, target, options).backward()
    assert all(weight.grad is not None for weight in network.parameters())


def check_exit(confidence):
    """It reads mean logits [T, N, C], lies in [0, 1], is largest for a sure prediction and smallest for an even one."""
    import numpy as np

    logits = np.zeros((2, 3, 7))
    logits[1, :, 2] = 0.5, 3, 1000
    told = confidence(logits)
    assert told.shape == (2, 3) and (0 <= told + 1e-12).all() and (told <= 1 + 1e-12).all()
    assert (told[0] == told[0, 0]).all() and told[0, 0] < told[1, 0] < told[1, 1] < told[1, 2] == pytest.approx(1)


@pytest.mark.parametrize("name", found(pipeline.data.datasets))
def test_a_data_set_keeps_its_contract(name):
    dataset = importlib.import_module(f"pipeline.data.datasets.{name}")
    source = dataset.source(None)
    assert source.official and source.fingerprint and dataset.TITLE in source.origin
    assert dataset.IMAGE_SIZE in (32, 64) and dataset.CLASS_COUNT > 1 and 1000 % dataset.CLASS_COUNT == 0
    assert callable(dataset.read)
    assert all(count > 0 for count in getattr(dataset, "COUNTS", ()))


@pytest.mark.parametrize("name", found(pipeline.reporting.figures))
def test_a_figure_keeps_its_contract(name):
    figure = importlib.import_module(f"pipeline.reporting.figures.{name}")
    assert figure.TITLE and len(figure.DEFINITION) > 40 and callable(figure.draw)
    assert figure.MOST_EVALUATIONS is None or figure.MOST_EVALUATIONS >= 0
    assert hasattr(figure, "measure") == hasattr(figure, "Settings")
    if hasattr(figure, "measure"):
        assert figure.Settings.model_config["frozen"] and figure.Settings.model_config["extra"] == "forbid"
        settings = figure.Settings()  # every one has a default
        assert not hasattr(figure, "passes") or figure.passes(settings) >= 1


def test_looking_for_a_figure_imports_neither_torch_nor_matplotlib():
    """A declaration is checked in every job of the graph."""
    code = f"import importlib, sys; [importlib.import_module('pipeline.reporting.figures.' + n) for n in {found(pipeline.reporting.figures)}]"
    code += "; print({'torch', 'matplotlib'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"
