"""Layers on live rows alone: what AT-SNN's packed evaluation computes, once tokens are merged, halted or decided.

Dimensions: T timesteps (those of one call), B images, K tokens in the tensor now, R live rows, D and E channels, N = B K neurons' rows.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models import native
from models.native import fused
from models.neuron import Membranes, lif, wide
from models.spiking_layers import ATTENTION_SCALE, ATTENTION_THRESHOLD, NormLinear, SpikingLinear, attention, normalise


class LiveRows:
    """Which rows of a [T, B, K, ...] tensor are live, and how layers compute them packed, in the order of t, image, token."""

    def __init__(self, live: Bool[Tensor, "T B K"], membranes: Membranes | None = None):
        self.live, self.membranes = live, membranes
        self.place = live.flatten().nonzero().flatten()
        self.all_live = len(self.place) == live.numel()

    def pack(self, x: Float[Tensor, "T B K E"]) -> Float[Tensor, "R E"]:
        return x.flatten(0, 2) if self.all_live else x.flatten(0, 2).index_select(0, self.place)

    def unpack(self, x: Float[Tensor, "R E"]) -> Float[Tensor, "T B K E"]:
        if not self.all_live:
            x = x.new_zeros(self.live.numel(), x.shape[1]).index_copy(0, self.place, x)
        return x.unflatten(0, self.live.shape)

    def spiking_linear(self, layer: SpikingLinear, x: Float[Tensor, "R D"]) -> Float[Tensor, "R E"]:
        """LIF(BN(Linear)) of live rows; a membrane decays where its row is not live."""
        if native.supports(x):
            y = F.linear(x, layer.linear.weight)
            scale, shift, _, _ = fused.affine(y, layer.bn, bias=layer.linear.bias)
            return self.fire(layer, y, scale, shift, 1.0)
        return self.lif(layer, layer.bn(layer.linear(x)))

    def norm_linear(self, layer: NormLinear, x: Float[Tensor, "R D"]) -> Float[Tensor, "R E"]:
        """BN(Linear) of live rows."""
        return normalise(layer.linear(x), layer.bn)

    def attention(self, layer: nn.Module, qkv: Float[Tensor, "R E"]) -> Float[Tensor, "R D"]:
        """LIF(0.125 q k^T v) among the live rows of each image and timestep."""
        if native.supports(qkv):
            attended = fused.Attention.apply(qkv, self.start, layer.heads)
        else:
            attended = self.pack(attention(self.unpack(qkv), layer.heads))
        return self.lif(layer, attended, ATTENTION_THRESHOLD, ATTENTION_SCALE)

    def lif(
        self, layer: nn.Module, current: Float[Tensor, "R D"], threshold: float = 1.0, scale: float = 1.0
    ) -> Float[Tensor, "R D"]:
        """LIF(scale * current) of live rows; a membrane decays where its row is not live."""
        if native.supports(current):
            factor = wide(current.new_full(current.shape[1:], scale))
            return self.fire(layer, current, factor, torch.zeros_like(factor), threshold)
        return self.pack(lif(self.unpack(current), threshold, scale, self.membrane(layer, current.shape[-1], current)))

    def fire(self, layer: nn.Module, y: Tensor, scale: Tensor, shift: Tensor, threshold: float) -> Float[Tensor, "R E"]:
        membrane = self.membrane(layer, y.shape[1], y)
        if self.all_live:
            y = y.unflatten(0, (len(self.live), -1))
        return fused.fire(y, self.index, scale, shift, threshold, len(self.live), membrane).flatten(0, -2)

    def membrane(self, layer: nn.Module, channels: int, like: Tensor) -> Float[Tensor, "B K E"] | None:
        if self.membranes is None:
            return None
        return self.membranes.of(layer, like.new_empty(1).expand(*self.live.shape[1:], channels))

    @property
    def start(self) -> Int[Tensor, " segments"]:
        """Where the rows of each image and timestep begin, and where the last end."""
        return F.pad(self.live.sum(dim=2).flatten().cumsum(0), (1, 0))

    @property
    def index(self) -> Int[Tensor, "T N"] | None:
        """Each token's packed row, -1 where it is not live; None where all are, in their order."""
        if self.all_live:
            return None
        live = self.live.flatten(1)
        return torch.where(live, live.flatten().cumsum(0).view_as(live) - 1, -1)
