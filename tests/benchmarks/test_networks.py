"""Training and inference of the paper's network beside SpikingJelly's own, each in a process of its own."""

import pytest
from benchmarks.conftest import GAMMA, NETWORK, RATE_TOLERANCE, SCALE, batch, larger_batches, off_the_published

REFERENCE = "SpikingJelly"
SAME_SETTINGS = "SpikingJelly, our precision and memory"
OURS = {
    "STATIC": {"kind": "static"},
    "AT-SNN": {"kind": "at_snn", "gamma": GAMMA},
    "STATIC, dense products": {"kind": "static", "kernels": "dense"},
    "STATIC, plain PyTorch": {"kind": "static", "kernels": "off"},
}
THEIRS = {REFERENCE: {"kind": "spikingjelly", "as_it_comes": True}, SAME_SETTINGS: {"kind": "spikingjelly"}}
TRAINED = OURS | THEIRS
INFERRED = OURS | {"AT-SNN, packed": {"kind": "packed", "gamma": GAMMA}} | THEIRS


def timed(measure, group, name, job, size):
    form = INFERRED[name]
    spec = {"job": job, "network": NETWORK, "batch": size} | {key: value for key, value in form.items() if key != "kernels"}
    told = measure(
        group,
        name,
        spec,
        own=f"{job} {name}",
        kernels=form.get("kernels"),
        least=2,
        seconds=8.0 if job == "train" else 3.0,
        reference=REFERENCE,
    )
    assert told["images"] == size and told["macs"] > 0 and told["memory_gb"] > 0
    if SCALE and "gamma" not in spec:  # merged tokens fire otherwise
        assert off_the_published(told["rates"]) < RATE_TOLERANCE


def group_of(name: str, size: int, usual: int) -> str:
    return name if size == usual else f"{name}, batch {size}"


@pytest.mark.parametrize("size", larger_batches(batch(32)))
@pytest.mark.parametrize("name", TRAINED)
def test_training_step(measure, name, size):
    timed(measure, group_of("train", size, batch(32)), name, "train", size)


@pytest.mark.parametrize("name,size,group", [
    (name, size, group)
    for name in INFERRED
    for group, sizes in (("infer", larger_batches(batch(64))), ("latency", [1]))
    for size in sizes
])  # fmt: skip
def test_inference(measure, name, size, group):
    timed(measure, group_of(group, size, 1 if group == "latency" else batch(64)), name, "infer", size)
