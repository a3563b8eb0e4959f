"""What surrounds a step: preparing batches, starting a process, building the kernels."""

import subprocess
import sys

import pytest
from benchmarks.conftest import EXPERIMENT, SCALE, batch

from pipeline.campaign.declaration import Recipe
from pipeline.core.paths import ROOT

RECIPES = {"the paper's recipe": Recipe(), "the scale's recipe": next(iter(EXPERIMENT.recipes.values()))}
REFERENCE = "import torch"
STARTS = {
    REFERENCE: ["-c", "import torch"],
    "import models.at_snn": ["-c", "import models.at_snn"],
    "pipeline.train --help": ["-m", "pipeline.train", "--help"],
}


@pytest.mark.parametrize("name", RECIPES)
def test_batches(measure, name):
    recipe = RECIPES[name].model_dump()
    spec = {"job": "data", "recipe": recipe, "batch": batch(recipe["batch"]), "threads": 1}
    measure("data", name, spec, own="data", seconds=1.0)


@pytest.mark.parametrize("name", STARTS)
def test_start(benchmark, name):
    benchmark.group = "start"
    command = [sys.executable, *STARTS[name]]
    settings = {"cwd": ROOT, "check": True, "capture_output": True}
    ended = benchmark.pedantic(subprocess.run, args=(command,), kwargs=settings, rounds=3 if SCALE else 1)
    benchmark.extra_info |= {"name": name, "images": 1, "reference": REFERENCE}
    assert ended.returncode == 0


def test_building_the_kernels(measure):
    measure("start", "building the kernels", {"job": "build_kernels"}, own="build", least=1, seconds=0.0, reference=REFERENCE)
