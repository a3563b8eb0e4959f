"""Parts of the network: packed blocks over the share of tokens, merging and neurons beside plain PyTorch, the machine's rates."""

import pytest
import torch
from benchmarks.conftest import GAMMA, NETWORK, batch

from pipeline.evaluation.device import resolve_precision
from pipeline.planning.roofline import OPERATIONS

NEVER = {"alpha": 0.0, "beta": -200.0}  # no token halts before the last block
SETTINGS = [{"gamma": None}]
SETTINGS += [{"gamma": gamma, **NEVER} for gamma in (0, 3, 5, 10, GAMMA, 32)]
HALTING = [
    {"gamma": gamma, "alpha": 5.0, "beta": beta}
    for gamma, beta in ((0, -10.0), (5, -10.0), (10, -10.0), (GAMMA, -10.0), (0, -4.0), (10, -4.0))
]
DTYPES = sorted({resolve_precision("auto"), "float32"})
STATIC, PLAIN = "STATIC", "plain PyTorch"


def name_of(setting: dict) -> str:
    if setting["gamma"] is None:
        return STATIC
    halting = "none halt" if setting["beta"] == NEVER["beta"] else f"β = {setting['beta']:.0f}"
    return f"γ = {setting['gamma']}, {halting}"


def packed(measure, setting, whole, **settings):
    spec = {"job": "encoder", "network": NETWORK, "batch": batch(64), "whole": whole} | setting
    group = "packed, network" if whole else "packed, encoder"
    told = measure(group, name_of(setting), spec, own="packed", reference=STATIC, **settings)
    assert 0 < told["share"] <= 1


@pytest.mark.parametrize("setting", SETTINGS + HALTING, ids=name_of)
def test_packed_encoder(measure, setting):
    packed(measure, setting, whole=False, seconds=2.0, least=2)


@pytest.mark.parametrize("setting", SETTINGS, ids=name_of)
def test_packed_network(measure, setting):
    packed(measure, setting, whole=True, seconds=1.0)


@pytest.mark.parametrize("name", ["kernels", PLAIN])
def test_merging(measure, name):
    spec = {"job": "merge", "network": NETWORK, "batch": batch(64), "gamma": GAMMA}
    measure("merge", name, spec, own=name, kernels="off" if name == PLAIN else None, seconds=1.0, reference=PLAIN)


@pytest.mark.parametrize("name", ["kernels", PLAIN])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_norm_and_neuron(measure, name, backward, dtype):
    spec = {"job": "lif", "network": NETWORK, "batch": batch(32), "backward": backward, "dtype": dtype}
    passes = "forward and backward" if backward else "forward"
    measure(
        f"lif, {passes}, {dtype}", name, spec, own=name, kernels="off" if name == PLAIN else None, seconds=1.0, reference=PLAIN
    )


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rate(measure, operation, dtype):
    shrink = 1 if NETWORK["width"] > 100 or torch.cuda.is_available() else 64
    spec = {"job": "rate", "operation": operation, "dtype": dtype, "shrink": shrink}
    measure("rates", f"{operation}, {dtype}", spec, own="kernels", seconds=1.0, operation=operation)
