"""The arithmetic that `auto` chooses, beside the one that it doesn't, measured here; threads that a process may not have."""

import os
import subprocess
import sys
from time import perf_counter

import pytest
import torch

from pipeline.core.paths import ROOT
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


ON_THREADS = """
import sys, torch
from pipeline.core.errors import run_stage
from pipeline.evaluation.device import open_device
run_stage(lambda: open_device("float32", int(sys.argv[1])), "train")
torch.nn.Conv2d(3, 48, 3, padding=1, bias=False)(torch.rand(64, 3, 32, 32)).square().sum().backward()
print("computed on", torch.get_num_threads())
"""


def on_threads(threads: int, **environment: str) -> subprocess.CompletedProcess:
    """A process that opens its device for so many threads, then computes on them. OpenMP reads its environment once."""
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "MKL_", "GOMP_"))}
    command = [sys.executable, "-c", ON_THREADS, str(threads)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, env=surroundings | environment)


@pytest.mark.parametrize(
    "variable, value, threads",
    (
        ("OMP_THREAD_LIMIT", "1", 2),
        ("OMP_THREAD_LIMIT", "3", 4),
        ("OMP_DYNAMIC", "true", 2),
        ("OMP_MAX_ACTIVE_LEVELS", "0", 2),
    ),
)
def test_settings_that_allow_fewer_threads_are_refused_in_one_line(variable, value, threads):
    """oneDNN would wait for the missing threads for ever."""
    run = on_threads(threads, **{variable: value})
    line = f"{variable}={value} allows fewer threads than the {threads} that are declared: unset {variable}"
    assert (run.returncode, run.stderr, run.stdout) == (2, f"pipeline.train: error: {line}\n", "")


@pytest.mark.parametrize(
    "environment",
    (
        {"OMP_THREAD_LIMIT": "2"},
        {"OMP_THREAD_LIMIT": "many"},
        {"OMP_NUM_THREADS": "0"},
        {"MKL_NUM_THREADS": "1", "OMP_DYNAMIC": "false"},
    ),
    ids=str,
)
def test_the_declared_threads_are_what_a_process_has_whatever_else_is_set(environment):
    run = on_threads(2, **environment)
    assert (run.returncode, run.stdout) == (0, "computed on 2\n"), run.stderr


def test_one_thread_is_within_every_limit():
    run = on_threads(1, OMP_THREAD_LIMIT="1", OMP_DYNAMIC="true", OMP_MAX_ACTIVE_LEVELS="0")
    assert (run.returncode, run.stdout) == (0, "computed on 1\n"), run.stderr


def test_the_kernels_of_a_processor_are_named_with_their_instruction_set_and_those_beside_a_gpu_without(monkeypatch):
    """Hours on a GPU are the same beside any processor."""
    monkeypatch.setattr("models.native.describe", lambda: "compiled kernels: AVX2, c++ 12")
    assert device.ComputeDevice(torch.device("cpu"), "float32").kernels == "compiled kernels: AVX2, c++ 12"
    assert device.ComputeDevice(torch.device("cuda"), "bf16").kernels == "compiled kernels: unused on a GPU"
