"""Trained networks of the scale's Table 1: the time of an image beside the operations that the energy model counts."""

import pytest
from benchmarks import trained
from benchmarks.conftest import EXPERIMENT, SCALE, batch

FROM = SCALE or "laptop"  # without a scale, two of the published
PATHS = {"": None, ", dense products": "dense"}


@pytest.mark.parametrize("name,timesteps", trained.rows(FROM) if SCALE else trained.rows(FROM)[2:4])
@pytest.mark.parametrize("path", PATHS)
def test_evaluation(measure, name, timesteps, path):
    spec = {"job": "evaluation", "scale": FROM, "evaluation": name, "timesteps": timesteps, "batch": batch(32)}
    spec |= {"threads": EXPERIMENT.threads, "precision": EXPERIMENT.precision, "kernels": PATHS[path]}
    row = f"{name}, T = {timesteps}"
    settings = {"own": "evaluations", "seconds": 0.4, "least": 3, "reference": row + ", dense products"}
    told = measure("evaluations", row + path, spec, row=row, **settings)
    assert 0 < told["operations"] < told["dense_operations"] and told["timesteps"] == timesteps
