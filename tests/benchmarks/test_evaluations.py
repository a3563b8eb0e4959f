"""Trained networks of the scale's Table 1: the time of an image beside the operations that the energy model counts."""

import pytest
from benchmarks import trained
from benchmarks.conftest import EXPERIMENT, SCALE, batch

FROM = SCALE or "laptop"  # without a scale, two of the published
PATHS = {"": None, ", dense products": "dense"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name,timesteps", trained.rows(FROM) if SCALE else trained.rows(FROM)[2:4])
def test_evaluation(measure, name, timesteps, path):
    spec = {"job": "evaluation", "scale": FROM, "evaluation": name, "timesteps": timesteps, "batch": batch(64)}
    spec |= {"threads": EXPERIMENT.threads, "precision": EXPERIMENT.precision}
    row = f"{name}, T = {timesteps}"
    own = f"evaluations{path}"
    told = measure(
        "evaluations",
        row + path,
        spec,
        own=own,
        kernels=PATHS[path],
        seconds=0.6,
        least=3,
        row=row,
        reference=row + ", dense products",
    )
    assert 0 < told["operations"] < told["dense_operations"] and told["timesteps"] == timesteps
