"""How fast this machine could be at best: what a network computes, over what the processor does of it per second.

The limit counts products only (convolutions, linear layers, attention) and takes the rate of large ones, so a network
whose norms, neurons and memory cost nothing would reach it. A multiply-accumulate (MAC) is two floating-point operations.
"""

import statistics

FLOP_PER_MAC = 2
GIGA = 1e9


def macs(network) -> tuple[int, int]:
    """Dense multiply-accumulates of one image over all its timesteps: patch splitting (its first convolution once per image,
    as the input is the same at every timestep), and the blocks with the head.

    Counted by torch while a copy of `network` (a models.spikformer.Spikformer) computes one image in float64, which is the
    plain code: what a kernel computes, no counter sees.
    """
    import copy

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    plain = copy.deepcopy(network).to("cpu", torch.float64).eval()
    image = torch.zeros(1, 3, plain.sps.image_size, plain.sps.image_size, dtype=torch.float64)
    counted = []
    for part in (plain.embed, plain):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            part(image)
        counted.append(counter.get_total_flops() // FLOP_PER_MAC)
    return counted[0], counted[1] - counted[0]


def product(rows: int, inner: int, columns: int):
    """A matrix product: gives (dtype, device, shrink) -> the step and its floating-point operations."""

    def prepare(dtype: str, device, shrink: int):
        import torch

        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(dtype, torch.float32)
        a = torch.randn(rows // shrink, inner, device=device).to(kind)
        b = torch.randn(columns, inner, device=device).to(kind)
        return lambda: torch.nn.functional.linear(a, b), FLOP_PER_MAC * a.shape[0] * inner * columns

    return prepare


def convolution(dtype: str, device, shrink: int):
    """3x3, 192 to 384 channels on 16 x 16 positions, channels last: the step and its floating-point operations."""
    import torch

    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(dtype, torch.float32)
    channels_last = {"memory_format": torch.channels_last}
    x = torch.randn(128 // shrink, 192, 16, 16, device=device).to(kind).contiguous(**channels_last)
    weight = torch.randn(384, 192, 3, 3, device=device).to(kind).contiguous(**channels_last)
    return lambda: torch.nn.functional.conv2d(x, weight, padding=1), FLOP_PER_MAC * len(x) * 16 * 16 * 192 * 384 * 9


def copying(dtype: str, device, shrink: int):
    """A tensor copied onto another, far larger than the caches: the step and the bytes read and written."""
    import torch

    x = torch.randn(2**26 // shrink, device=device)
    y = torch.empty_like(x)
    return lambda: y.copy_(x), 2 * x.numel() * x.element_size()


OPERATIONS = {
    "product 8192 x 1536 x 384": product(8192, 1536, 384),
    "product 8192 x 384 x 1536": product(8192, 384, 1536),
    "convolution 192 to 384": convolution,
    "copy": copying,
}


def rates(benchmarks: list[dict]) -> dict[str, dict[str, float]]:
    """GFLOP/s (of a copy GB/s) by dtype and operation, from the medians of the group `rates`."""
    found: dict[str, dict[str, float]] = {}
    for one in benchmarks:
        if one["group"] == "rates":
            info = one["extra_info"]
            found.setdefault(info["dtype"], {})[info["operation"]] = info["work"] / one["stats"]["median"] / GIGA
    return found


def peak(measured: dict[str, float]) -> float:
    """The rate of the limit in GFLOP/s: the median of what was measured of products."""
    return statistics.median(rate for operation, rate in measured.items() if operation != "copy")


def limit(multiply_accumulates: float, passes: int, gflops: float) -> float:
    """Images per second at that rate. `passes`: 1 for inference, 3 for training, whose backward pass costs two forwards."""
    return gflops * GIGA / (FLOP_PER_MAC * passes * multiply_accumulates)
