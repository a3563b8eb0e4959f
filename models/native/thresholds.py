"""Decide whether a layer is computed dense or event-driven, from the share of its inputs that is not 0.

The decision depends on the inputs, the layer and the instruction set alone, so a run that goes on takes the path that it took. The
numbers are shares at which both paths took the same time on one thread, rounded down; `make bench` measures such curves (groups
`firing rate`), and both paths at the rates of trained networks (groups `product`). An instruction set or dtype without numbers is always dense: NEON,
where none were measured, bfloat16 with AMX, whose dense products no list can follow, and float64, the reference.
"""

import os

from torch import Tensor

from models.native.build import instruction_set

PATHS = ("dense", "events")
NARROWEST = 24  # channels in or out below which lists are too short to be worth it
MEDIUM, LARGE = 4096, 65536  # inputs times outputs, from which a layer is no longer small, or no longer medium

# Largest share for small, medium and large layers (of convolutions, inputs times outputs of one tap count), and how many positions
# or rows a layer must have at least, as its weights are copied first.
AVX512 = {
    "positions": 64,
    "linear": (0.28, 0.4, 0.45),
    "linear gradient": (0.08, 0.25, 0.35),
    "convolution": (0.4, 0.45, 0.45),
    "convolution gradient": (0.3, 0.4, 0.45),
}
LARGEST_SHARE = {
    ("AMX", "float32"): AVX512,
    ("AVX-512 BF16", "float32"): AVX512,
    ("AVX-512", "float32"): AVX512,
    ("AVX-512 BF16", "bfloat16"): {
        "positions": 512,
        "linear": (0.12, 0.17, 0.28),
        "linear gradient": (0.0, 0.12, 0.22),
        "convolution": (0.0, 0.28, 0.28),
        "convolution gradient": (0.2, 0.25, 0.25),
    },
    ("AVX2", "float32"): {
        "positions": 64,
        "linear": (0.28, 0.4, 0.45),
        "linear gradient": (0.15, 0.28, 0.35),
        "convolution": (0.45, 0.45, 0.45),
        "convolution gradient": (0.45, 0.45, 0.45),
    },
    ("SSE", "float32"): {
        "positions": 64,
        "linear": (0.15, 0.25, 0.28),
        "linear gradient": (0.1, 0.18, 0.2),
        "convolution": (0.5, 0.5, 0.5),
        "convolution gradient": (0.5, 0.5, 0.5),
    },
}


def is_event_driven(share: float | None, positions: int, weight: Tensor, path: str | None = None, gradient: bool = False) -> bool:
    """Tell whether a layer is computed event-driven, or its weights' gradient; share: None where inputs are no counts.

    positions: of all images and timesteps, rows of a linear layer. path: one of PATHS to have it so whatever the share; None, or ATSNN_KERNELS=dense, which asks for dense layers everywhere.
    """
    if share is None:
        return False
    if path is not None:
        return path == "events"
    return os.environ.get("ATSNN_KERNELS") != "dense" and share <= largest_share(positions, weight, gradient)


def largest_share(positions: int, weight: Tensor, gradient: bool = False) -> float:
    """Look up the largest share at which a layer with this weight [E, D] or [E, D, 3, 3] is event-driven; -1 where it never is."""
    limits = LARGEST_SHARE.get((instruction_set(), str(weight.dtype).removeprefix("torch.")))
    outputs, inputs = weight.shape[:2]
    if limits is None or min(outputs, inputs) < NARROWEST or positions < limits["positions"]:
        return -1.0
    kind = ("linear" if weight.ndim == 2 else "convolution") + (" gradient" if gradient else "")
    return limits[kind][(outputs * inputs >= MEDIUM) + (outputs * inputs >= LARGE)]
