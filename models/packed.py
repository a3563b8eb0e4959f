"""Evaluate AT-SNN on live tokens only, so that merged and halted tokens and finished images cost nothing.

`PackedATSNN` has the output of `models.at_snn.ATSNN` and takes every decision with its code; only the blocks are computed
differently: on the live rows of all timesteps and images, packed one after another.

Dimensions: T timesteps (those of one call), B images, K tokens in the tensor now, R live rows, D channels, C classes.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.at_snn import ATSNN, ATSNNOutput, Past, Tokens
from models.live_rows import LiveRows
from models.neuron import Membranes


class EarlyOutput(NamedTuple):
    """Output of images that stop early: the mean of the logits up to the timestep, from 1, where each stopped."""

    logits: Float[Tensor, "B C"]
    timesteps: Int[Tensor, " B"]


class PackedATSNN(nn.Module):
    """An AT-SNN network in evaluation mode, without gradient; it shares weights and options with `model`.

    Raises ValueError for a backbone whose blocks have no `on_live_rows`.
    """

    def __init__(self, model: ATSNN):
        super().__init__()
        if not can_pack(model):
            kind = type(model.backbone).__name__
            raise ValueError(f"the blocks of {kind} have no on_live_rows, so they can't be packed: use the masked model")
        self.model = model.eval()

    @torch.no_grad()
    def forward(self, image: Float[Tensor, "B 3 S S"], *, trace: bool = False) -> ATSNNOutput:
        """Compute all timesteps of all images; with `trace`, also the history of each token."""
        self.model.eval()
        return self.model.adapt(self.model.backbone.embed(image), self.compute, trace=trace)

    @torch.no_grad()
    def until(self, image: Float[Tensor, "B 3 S S"], stops: Callable[[Float[Tensor, "B C"]], Bool[Tensor, " B"]]) -> EarlyOutput:
        """Compute timestep by timestep; an image stops once `stops` is true of the mean of its logits so far, or at the last."""
        self.model.eval()
        backbone, past, membranes = self.model.backbone, Past(), Membranes()
        running = torch.arange(len(image), device=image.device)
        timesteps = torch.full((len(image),), backbone.timesteps, device=image.device)
        mean = None
        for t in range(1, backbone.timesteps + 1):
            u = backbone.embed(image[running], 1, membranes)
            logits = self.model.adapt(u, lambda l, tokens: self.compute(l, tokens, membranes), past, trace=False).logits[0]
            mean = torch.zeros(len(image), logits.shape[1], dtype=logits.dtype, device=image.device) if mean is None else mean
            mean[running] += (logits - mean[running]) / t
            going_on = ~stops(mean[running])
            timesteps[running[~going_on]] = t
            running = running[going_on]
            if not len(running):
                break
            past.keep(going_on)
            membranes.keep(going_on)
        return EarlyOutput(mean, timesteps)

    def compute(self, number: int, tokens: Tokens, membranes: Membranes | None = None) -> Float[Tensor, "T B K D"]:
        """Compute block `number`, from 1, on live rows; the others are 0."""
        rows = LiveRows(tokens.live if number > 1 else torch.ones_like(tokens.live), membranes)
        return rows.unpack(self.model.backbone.blocks[number - 1].on_live_rows(rows.pack(tokens.u), rows))


def can_pack(model: nn.Module) -> bool:
    """Check whether every block of AT-SNN's backbone can be computed on live rows alone."""
    return all(hasattr(block, "on_live_rows") for block in model.backbone.blocks)
