"""Compute layers on live rows alone, for AT-SNN's packed evaluation: without merged or halted tokens and finished images.

Dimensions: T timesteps (those of one call), B images, K tokens in the tensor now, R live rows, D and E channels, N = B K rows
of neurons.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models import native
from models.native import event_driven, fused
from models.neuron import Membranes, lif, wide
from models.spiking_layers import ATTENTION_SCALE, ATTENTION_THRESHOLD, NormLinear, SpikingLinear, attention, normalise


class LiveRows:
    """Live rows of a [T, B, K, ...] tensor, packed in the order of t, image, token, and the layers computed on them."""

    def __init__(self, live: Bool[Tensor, "T B K"], membranes: Membranes | None = None):
        self.live, self.membranes = live, membranes
        self.flat_index = live.flatten().nonzero().flatten()
        self.all_live = len(self.flat_index) == live.numel()

    def pack(self, x: Float[Tensor, "T B K E"]) -> Float[Tensor, "R E"]:
        """Take the live rows of x."""
        return x.flatten(0, 2) if self.all_live else x.flatten(0, 2).index_select(0, self.flat_index)

    def unpack(self, x: Float[Tensor, "R E"]) -> Float[Tensor, "T B K E"]:
        """Put live rows back into their places, 0 in the others."""
        if not self.all_live:
            x = x.new_zeros(self.live.numel(), x.shape[1]).index_copy(0, self.flat_index, x)
        return x.unflatten(0, self.live.shape)

    def spiking_linear(self, layer: SpikingLinear, x: Float[Tensor, "R D"]) -> Float[Tensor, "R E"]:
        """Compute LIF(BN(Linear)) of live rows; a membrane decays where its row is not live."""
        if native.supports(x):
            y = event_driven.linear(x, layer.linear.weight)
            scale, shift, _, _ = fused.affine(y, layer.bn, bias=layer.linear.bias)
            return self.fire(layer, y, scale, shift, 1.0)
        return self.lif(layer, layer.bn(layer.linear(x)))

    def norm_linear(self, layer: NormLinear, x: Float[Tensor, "R D"]) -> Float[Tensor, "R E"]:
        """Compute BN(Linear) of live rows."""
        return normalise(layer.multiply(x), layer.bn)

    def attention(self, layer: nn.Module, qkv: Float[Tensor, "R E"]) -> Float[Tensor, "R D"]:
        """Compute LIF(0.125 q k^T v) among the live rows of each image and timestep."""
        if native.supports(qkv):
            attended = fused.Attention.apply(qkv, self.start, layer.heads)
        else:
            attended = self.pack(attention(self.unpack(qkv), layer.heads))
        return self.lif(layer, attended, ATTENTION_THRESHOLD, ATTENTION_SCALE)

    def lif(
        self, layer: nn.Module, current: Float[Tensor, "R D"], threshold: float = 1.0, scale: float = 1.0
    ) -> Float[Tensor, "R D"]:
        """Compute LIF(scale * current) of live rows; a membrane decays where its row is not live."""
        if native.supports(current):
            factor = wide(current.new_full(current.shape[1:], scale))
            return self.fire(layer, current, factor, torch.zeros_like(factor), threshold)
        return self.pack(lif(self.unpack(current), threshold, scale, self.membrane(layer, current.shape[-1], current)))

    def fire(self, layer: nn.Module, y: Tensor, scale: Tensor, shift: Tensor, threshold: float) -> Float[Tensor, "R E"]:
        """Compute LIF(scale * y + shift) of live rows with the compiled kernel."""
        membrane = self.membrane(layer, y.shape[1], y)
        if self.all_live:
            y = y.unflatten(0, (len(self.live), -1))
        return fused.fire(y, self.index, scale, shift, threshold, len(self.live), membrane).flatten(0, -2)

    def membrane(self, layer: nn.Module, channels: int, like: Tensor) -> Float[Tensor, "B K E"] | None:
        """Return the membranes of a layer, with device and dtype after `like`; None where all timesteps are computed at once."""
        if self.membranes is None:
            return None
        return self.membranes.of(layer, like.new_empty(1).expand(*self.live.shape[1:], channels))

    @property
    def start(self) -> Int[Tensor, " segments"]:
        """Return the index of the first row of each timestep and image and, last, the number of rows: segments = T B + 1."""
        return F.pad(self.live.sum(dim=2).flatten().cumsum(0), (1, 0))

    @property
    def index(self) -> Int[Tensor, "T N"] | None:
        """Return the index of each token's packed row, -1 where it is not live; None where all are live."""
        if self.all_live:
            return None
        live = self.live.flatten(1)
        return torch.where(live, live.flatten().cumsum(0).view_as(live) - 1, -1)
