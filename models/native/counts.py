"""Keep spikes, or counts of them, as bytes: a quarter of float32, and what event-driven layers read."""
# Tested in tests/models/native/test_event_driven.py

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from models.native.build import call

READ_BEYOND = 64  # bytes that kernels may read behind the counts


@dataclass(frozen=True)
class Counts:
    """Inputs as bytes, [*shape, D], followed by READ_BEYOND more; the share of them that is not 0, and the largest."""

    bytes: UInt8[Tensor, " bytes"]
    share: float
    largest: int

    @classmethod
    def of(cls, x: Float[Tensor, "*shape D"]) -> "Counts | None":
        """Count spikes; None where not all inputs are integers from 0 to 255."""
        bytes_ = torch.empty(x.numel() + READ_BEYOND, dtype=torch.uint8)
        result = torch.empty(2, dtype=torch.int64)
        call("count_spikes", x, x.numel(), bytes_, result)
        nonzero, largest = result.tolist()
        return None if largest < 0 else cls(bytes_, nonzero / max(1, x.numel()), largest)

    def to(self, dtype: torch.dtype, shape: torch.Size) -> Tensor:
        """Return the inputs in a dtype, as they were given."""
        return self.bytes[:-READ_BEYOND].view(shape).to(dtype)
