"""Event-driven products beside dense ones and plain PyTorch: at the sizes and firing rates of networks, and over the firing rate."""

import pytest
from benchmarks.conftest import EXPERIMENT, NETWORK, SCALE, THREADS, batch
from benchmarks.firing_rates import published_rates

from pipeline.evaluation.device import resolve_precision

PLAIN = "plain PyTorch"
NAMES = ("events", "dense", PLAIN)
RATES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
DTYPES = sorted({resolve_precision("auto"), "float32"})
OVER_RATE = {
    "linear": {"inputs": 384, "outputs": 1536, "side": 8},
    "convolution": {"inputs": 96, "outputs": 192, "side": 32},
}


def layers(width: int) -> dict[str, dict]:
    """A Spikformer's layers: inputs, outputs, side of the map, and the share of inputs that are not zero, over its blocks."""
    sizes = {
        "conv2": (width // 8, width // 4, 32),
        "conv3": (width // 4, width // 2, 32),
        "conv4": (width // 2, width, 16),
        "position": (width, width, 8),
        "qkv": (width, 3 * width, 8),
        "projection": (width, width, 8),
        "hidden": (width, 4 * width, 8),
        "output": (4 * width, width, 8),
    }
    published, blocks = published_rates(), range(1, 5)
    found = {}
    for name, (inputs, outputs, side) in sizes.items():
        rates = [published[block, name] for block in ([0] if (0, name) in published else blocks)]
        kind = "convolution" if (0, name) in published else "linear"
        found[name] = {"kind": kind, "inputs": inputs, "outputs": outputs, "side": side, "rate": sum(rates) / len(rates)}
    return found


WIDTHS = {NETWORK["width"]: THREADS, 48: EXPERIMENT.threads} if SCALE else {NETWORK["width"]: THREADS}
LAYERS = [(width, name, layer) for width in WIDTHS for name, layer in layers(width).items()]


def measured(measure, group, row, spec, **told):
    """Times a product on one of its paths; the group's row beside it is the same product on another."""
    spec = {"job": "product", "batch": batch(8), "threads": THREADS} | spec
    facts = measure(
        group, f"{row}, {spec['path']}", spec, own="products", seconds=0.3, least=3, row=row, path=spec["path"], **told
    )
    assert facts["share"] == pytest.approx(spec["rate"], abs=0.05)


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("width,layer,sizes", LAYERS, ids=[f"{name}-{width}" for width, name, _ in LAYERS])
@pytest.mark.parametrize("name", NAMES)
def test_layer(measure, width, layer, sizes, backward, name):
    dtype = resolve_precision(EXPERIMENT.precision)
    group = f"product, {'forward and backward' if backward else 'forward'}, Spikformer-4-{width}, {dtype}"
    row = f"{layer}: {sizes['inputs']} to {sizes['outputs']}, {100 * sizes['rate']:.0f} % not zero"
    spec = sizes | {"backward": backward, "dtype": dtype, "threads": WIDTHS[width], "path": name}
    measured(measure, group, row, spec, reference=f"{row}, {PLAIN}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", OVER_RATE)
@pytest.mark.parametrize("rate", RATES if SCALE else RATES[:1])
@pytest.mark.parametrize("path", ["dense", "events"])  # one after the other: other work on the machine slows both
def test_over_firing_rate(measure, kind, path, rate, dtype):
    spec = OVER_RATE[kind] | {"kind": kind, "rate": rate, "dtype": dtype, "backward": False, "path": path}
    row = f"{100 * rate:.0f} % not zero"
    measured(measure, f"firing rate, {kind}, {dtype}", row, spec, reference=f"{row}, dense", rate=rate)
