"""Decide whether a layer is computed dense or event-driven, from the share of its inputs that is not 0.

The decision depends on the inputs, the layer and the instruction set alone, so a run that goes on takes the path that it took.
"""

import os

from torch import Tensor

from models.native.build import instruction_set

PATHS = ("dense", "events")
# Largest share of inputs that are not 0 at which the event-driven kernel is the faster one: of linear layers, of convolutions,
# and of the gradients of either's weights, per instruction set and dtype.
LARGEST_SHARE = {
    ("AVX-512", "float32"): {"linear": 0.45, "convolution": 0.35, "linear gradient": 0.3, "convolution gradient": 0.35},
    ("AVX2", "float32"): {"linear": 0.45, "convolution": 0.35, "linear gradient": 0.3, "convolution gradient": 0.35},
}
NARROWEST = 24  # channels in and out below which a list is too short to be worth it


def is_event_driven(share: float | None, weight: Tensor, path: str | None = None, gradient: bool = False) -> bool:
    """Tell whether a layer is computed event-driven, or its weights' gradient; share: None where inputs are no counts."""
    if share is None:
        return False
    if path is not None:
        return path == "events"
    if os.environ.get("ATSNN_KERNELS") == "dense" or min(weight.shape[:2]) < NARROWEST:
        return False
    kind = ("linear" if weight.ndim == 2 else "convolution") + (" gradient" if gradient else "")
    limits = LARGEST_SHARE.get((instruction_set(), str(weight.dtype).removeprefix("torch.")), {})
    return share <= limits.get(kind, 0.0)
