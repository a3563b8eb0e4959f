"""Event-driven layers against PyTorch's: in float64 to 1e-12 with gradients, bits that no number of threads changes, what is kept."""

import itertools
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from models import native
from models.native import build, event_driven
from models.native.counts import READ_BEYOND, Counts

pytestmark = pytest.mark.skipif(build.library()[0] is None, reason=native.describe())

# Rows, inputs and outputs; frames, height, width, inputs and outputs: less than a vector, a tile, a block of inputs or positions, and more
LINEAR = ((1, 1, 1), (7, 3, 5), (5, 64, 64), (301, 70, 100), (40, 400, 24), (600, 130, 9), (0, 8, 8))
CONVOLUTIONS = (
    (1, 1, 1, 1, 1),
    (2, 5, 4, 3, 9),
    (3, 8, 8, 24, 48),
    (1, 33, 7, 12, 130),
    (2, 16, 16, 100, 8),
    (2, 3, 40, 9, 17),
    (0, 4, 4, 8, 8),
)
INPUTS = {
    "silent": lambda x: torch.zeros_like(x),
    "rare": lambda x: (x < 0.05).to(x),
    "spikes": lambda x: (x < 0.3).to(x),
    "always": lambda x: torch.ones_like(x),
    "counts": lambda x: (x * 4 - 1).clamp_min(0).round(),
    "large": lambda x: (x * 255).round(),
}


def draw(shape, kind="spikes", dtype=torch.float64):
    return INPUTS[kind](torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).to(dtype)


def layer(sizes, dtype=torch.float64):
    """Shape of the inputs, weights, and PyTorch's own function of both."""
    *leading, inputs, outputs = sizes
    kernel = (3, 3) if len(leading) > 1 else ()
    weight = torch.randn(outputs, inputs, *kernel, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    convolve = lambda x, w: F.conv2d(x.permute(0, 3, 1, 2), w, padding=1).permute(0, 2, 3, 1)  # noqa: E731
    return (*leading, inputs), weight, convolve if kernel else F.linear


def ours(x, weight, path):
    return (event_driven.convolve if weight.ndim == 4 else event_driven.linear)(x, weight, path)


def run(function, x, weight):
    """What a function gives, and the gradients of inputs and weights."""
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    y = function(x, weight)
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(y))
    return y.detach(), x.grad, weight.grad


@pytest.mark.parametrize("path", event_driven.thresholds.PATHS)
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("sizes", LINEAR + CONVOLUTIONS, ids=str)
def test_both_paths_give_what_pytorch_gives_in_float64(sizes, kind, path):
    shape, weight, theirs = layer(sizes)
    x = draw(shape, kind)
    for a, b in zip(run(lambda x, w: ours(x, w, path), x, weight), run(theirs, x, weight), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12 * max(1, x.sum().item()))


@pytest.mark.parametrize("dtype, tolerance", ((torch.float32, 1e-5), (torch.bfloat16, 2e-2)))
@pytest.mark.parametrize("sizes", ((64, 96, 70), (2, 8, 8, 48, 40)), ids=str)
def test_networks_dtypes_are_right_up_to_their_rounding(sizes, dtype, tolerance):
    shape, weight, theirs = layer(sizes, dtype)
    x = draw(shape, "counts", dtype)
    exact = run(theirs, x.double(), weight.double())
    for path in event_driven.thresholds.PATHS:
        for a, b in zip(run(partial(ours, path=path), x, weight), exact, strict=True):
            assert a.dtype == dtype
            torch.testing.assert_close(a.double(), b, rtol=0, atol=tolerance * b.abs().max().item())


@pytest.mark.parametrize("sizes", ((300, 130, 100), (3, 8, 8, 48, 100)), ids=str)
def test_bits_are_those_of_any_number_of_threads_and_any_batch(sizes):
    shape, weight, _ = layer(sizes, torch.float32)
    x, threads = draw(shape, "counts", torch.float32), torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(run(lambda x, w: ours(x, w, "events"), x, weight))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))
    alone = ours(x[-1:], weight, "events")
    assert torch.equal(alone, results[0][0][-1:])


@pytest.mark.parametrize("value", (0.5, -1.0, 256.0, torch.nan, torch.inf))
@pytest.mark.parametrize("place", (0, 4999, 5006))
def test_inputs_that_are_no_counts_are_computed_dense_and_kept(place, value):
    x = draw((1, 5007), "spikes", torch.float32)
    x[0, place] = value
    assert Counts.of(x) is None
    weight = torch.randn(3, 5007)
    for a, b in zip(run(lambda x, w: ours(x, w, "events"), x, weight), run(F.linear, x, weight), strict=True):
        assert torch.equal(a.isfinite(), b.isfinite())
        torch.testing.assert_close(a, b, equal_nan=True)


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float64))
@pytest.mark.parametrize("kind, size", list(itertools.product(INPUTS, (1, 15, 64, 4096, 20001))))
def test_counts_are_bytes_with_their_share_and_largest(kind, size, dtype):
    x = draw((size,), kind, dtype)
    counts = Counts.of(x)
    assert torch.equal(counts.to(dtype, x.shape), x) and counts.bytes.dtype == torch.uint8
    assert counts.share == (x != 0).double().mean().item() and counts.largest == x.max()


@pytest.mark.parametrize("path", event_driven.thresholds.PATHS)
def test_what_is_kept_for_the_gradient_is_bytes(path):
    x, weight = draw((50, 64), "spikes", torch.float32), torch.randn(32, 64, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        ours(x, weight, path)
    assert sorted(str(tensor.dtype) for tensor in kept) == ["torch.float32", "torch.uint8"]
    assert {tensor.numel() for tensor in kept} == {weight.numel(), x.numel() + READ_BEYOND}


def test_autocast_chooses_the_dtype_and_gradients_come_in_that_of_the_inputs():
    x, weight = draw((50, 64), "counts", torch.float32).requires_grad_(), torch.randn(32, 64, requires_grad=True)
    for path in event_driven.thresholds.PATHS:
        x.grad = weight.grad = None
        with torch.autocast("cpu", torch.bfloat16):
            y = ours(x, weight, path)
            assert y.dtype == torch.bfloat16
            torch.testing.assert_close(y, F.linear(x, weight), rtol=0.02, atol=0.1)
        y.float().square().sum().backward()
        assert x.grad.dtype == weight.grad.dtype == torch.float32
