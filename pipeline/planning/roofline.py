"""Compute how fast this machine could be at best: the work of a network over the rate at which the processor does such work.

The limit counts products only (convolutions, linear layers, attention) and takes the rate of large ones, so a network
whose norms, neurons and memory cost nothing would reach it. A multiply-accumulate (MAC) is two floating-point operations.
"""
# Tested in tests/pipeline/planning/test_benchmark.py

import statistics

FLOP_PER_MAC = 2
GIGA = 1e9


def macs(network) -> tuple[int, int]:
    """Count dense multiply-accumulates of one image over all its timesteps: in patch splitting, and in the blocks with the head.

    The first convolution of patch splitting counts once per image, as the input is the same at every timestep. Torch counts while
    a copy of `network` (a models.spikformer.Spikformer) computes one image in float64, which runs the plain code: torch's counter
    does not see what a kernel computes.
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
    """Build a matrix product, [rows / shrink, inner] times [inner, columns].

    Returns a function (dtype, device, shrink) -> the step and its floating-point operations.
    """

    def prepare(dtype: str, device, shrink: int):
        import torch

        torch_dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(dtype, torch.float32)
        a = torch.randn(rows // shrink, inner, device=device).to(torch_dtype)
        b = torch.randn(columns, inner, device=device).to(torch_dtype)
        return lambda: torch.nn.functional.linear(a, b), FLOP_PER_MAC * a.shape[0] * inner * columns

    return prepare


def convolution(dtype: str, device, shrink: int):
    """Build a 3x3 convolution, 192 to 384 channels on 16 x 16 positions, channels last: the step and its FLOP."""
    import torch

    torch_dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(dtype, torch.float32)
    channels_last = {"memory_format": torch.channels_last}
    x = torch.randn(128 // shrink, 192, 16, 16, device=device).to(torch_dtype).contiguous(**channels_last)
    weight = torch.randn(384, 192, 3, 3, device=device).to(torch_dtype).contiguous(**channels_last)
    return lambda: torch.nn.functional.conv2d(x, weight, padding=1), FLOP_PER_MAC * len(x) * 16 * 16 * 192 * 384 * 9


def copying(dtype: str, device, shrink: int):
    """Build the copy of a tensor onto another, far larger than the caches: the step and the bytes read and written."""
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
    """Compute GFLOP/s (of a copy GB/s) by dtype and operation, from the medians of the group `rates`."""
    rates_of_dtype: dict[str, dict[str, float]] = {}
    for benchmark in benchmarks:
        if benchmark["group"] == "rates":
            info = benchmark["extra_info"]
            rates_of_dtype.setdefault(info["dtype"], {})[info["operation"]] = info["work"] / benchmark["stats"]["median"] / GIGA
    return rates_of_dtype


def peak(operation_rates: dict[str, float]) -> float:
    """Compute the rate of the limit in GFLOP/s: the median of the measured rates of products."""
    return statistics.median(rate for operation, rate in operation_rates.items() if operation != "copy")


def limit(multiply_accumulates: float, passes: int, gflops: float) -> float:
    """Compute images per second at `gflops` GFLOP/s: rate / (2 passes MACs per image).

    `passes`: 1 for inference, 3 for training, whose backward pass costs two forwards.
    """
    return gflops * GIGA / (FLOP_PER_MAC * passes * multiply_accumulates)
