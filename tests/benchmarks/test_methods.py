"""Training step and inference of every method on the scale's first Spikformer, side by side, on the scale's threads."""

import pkgutil

import pytest
from benchmarks.conftest import EXPERIMENT, GAMMA, batch

import baselines
from pipeline.command_line import CATALOGUE

BACKBONE = "spikformer"
METHODS = [
    name
    for _, name, _ in pkgutil.iter_modules(baselines.__path__)
    if BACKBONE in getattr(CATALOGUE.methods[name], "BACKBONES", CATALOGUE.backbones.names)
]
TRAINED = [name for name in METHODS if hasattr(CATALOGUE.methods[name], "loss")]
NETWORK = next(one for one in EXPERIMENT.networks.values() if one.backbone == BACKBONE).model_dump(exclude={"backbone"})
RECIPE = next(iter(EXPERIMENT.recipes.values())).model_dump()


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("training", [True, False])
def test_method(measure, name, training):
    spec = {"job": "method_step", "method": name, "training": training, "gamma": GAMMA, "network": NETWORK, "recipe": RECIPE}
    spec |= {"batch": batch(RECIPE["batch"]), "threads": EXPERIMENT.threads}
    group = "small, train" if training else "small, infer"
    measure(group, name, spec, own="methods", seconds=1.0, reference="static")
