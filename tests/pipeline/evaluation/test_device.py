"""The arithmetic that `auto` chooses, beside the one that it doesn't, measured here."""

from time import perf_counter

import pytest
import torch

from pipeline.evaluation import device
from pipeline.planning import roofline


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def best(dtype: str) -> float:
    """The shortest of several times of a product: what else the machine does only makes them longer."""
    step, _ = roofline.product(8192, 1536, 384)(dtype, "cpu", 8)
    times = []
    for _ in range(12):
        start = perf_counter()
        step()
        times.append(perf_counter() - start)
    return min(times)


def test_auto_multiplies_no_slower_than_what_it_leaves(one_thread, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    chosen = device.resolve_precision("auto")
    assert best(chosen) < 1.25 * min(best("bf16"), best("float32"))


@pytest.mark.parametrize(
    "amx,flag,vendor,precision",
    [
        (True, True, "GenuineIntel", "bf16"),
        (False, True, "AuthenticAMD", "bf16"),
        (False, True, "GenuineIntel", "float32"),
        (False, True, "", "float32"),
        (False, False, "AuthenticAMD", "float32"),
    ],
)
def test_auto_by_what_the_processor_says(monkeypatch, amx, flag, vendor, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: flag)
    monkeypatch.setattr(device, "vendor", lambda: vendor)
    assert device.resolve_precision("auto") == precision
    assert device.resolve_precision("bf16") == "bf16"


@pytest.mark.parametrize("precision, product", (("bf16", torch.bfloat16), ("fp16", torch.float16), ("float32", torch.float32)))
def test_products_are_computed_in_the_precision_and_weights_are_kept_in_float32(precision, product):
    compute = device.ComputeDevice(torch.device("cpu"), precision)
    weight = torch.ones(4, 4, dtype=compute.dtype)
    with compute.autocast():
        assert (weight @ weight).dtype == product and weight.dtype == torch.float32
    assert compute.is_mixed == (precision != "float32")
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32, "no context outlives its block"


def test_float64_is_no_mixed_precision():
    compute = device.ComputeDevice(torch.device("cpu"), "float64")
    with compute.autocast():
        assert (torch.ones(2, 2, dtype=compute.dtype) @ torch.ones(2, 2, dtype=compute.dtype)).dtype == torch.float64
    assert not compute.is_mixed and compute.scaler() is None


def test_fp16_alone_has_a_scaler_which_keeps_small_gradients():
    assert device.ComputeDevice(torch.device("cpu"), "bf16").scaler() is None
    scaler = device.ComputeDevice(torch.device("cpu"), "fp16").scaler()
    small = torch.tensor(2.0**-14, requires_grad=True)  # times 2^-11 it is below what fp16 can hold, 2^-24
    (scaler.scale(small.half() * 2.0**-11)).backward()
    assert small.grad > 0 and (small.half() * 2.0**-11).item() == 0
