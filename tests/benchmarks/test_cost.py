"""Cost per image over timesteps, batch and width: STATIC and AT-SNN, packed in inference."""

import pytest
from benchmarks.conftest import GAMMA, NETWORK, SCALE, batch

BASE = {"timesteps": NETWORK["timesteps"], "batch": batch(8), "width": NETWORK["width"]}
VARIED = {"timesteps": (1, 2, 8), "batch": (1, 32, 64), "width": (64, 192)} if SCALE else {"batch": (1,)}
CHANNELS_PER_HEAD = NETWORK["width"] // NETWORK["heads"]
LARGEST = {"infer": 64, "train": 32}  # batch
POINTS = [BASE, *(BASE | {key: value} for key, values in VARIED.items() for value in values)]


@pytest.mark.parametrize("job,point", [(job, point) for job in LARGEST for point in POINTS if point["batch"] <= LARGEST[job]])
@pytest.mark.parametrize("kind", ["static", "at_snn"])
def test_cost(measure, job, kind, point):
    network = NETWORK | {"timesteps": point["timesteps"], "width": point["width"], "heads": point["width"] // CHANNELS_PER_HEAD}
    spec = {"job": job, "network": network, "batch": point["batch"], "gamma": GAMMA}
    spec["kind"] = "packed" if kind == "at_snn" and job == "infer" else kind
    place = f"T = {point['timesteps']}, batch {point['batch']}, width {point['width']}"
    reference = f"STATIC, T = {BASE['timesteps']}, batch {BASE['batch']}, width {BASE['width']}"
    name = f"{'STATIC' if kind == 'static' else 'AT-SNN'}, {place}"
    measure(f"cost, {job}", name, spec, own="cost", seconds=1.0, least=2, kind=kind, reference=reference)
