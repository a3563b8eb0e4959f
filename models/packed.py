"""AT-SNN in evaluation, computing live tokens only: what is merged, halted or decided costs nothing any more.

`PackedATSNN` gives what `models.at_snn.ATSNN` gives and takes every decision with its code; only the blocks are computed
otherwise: on the live rows of all timesteps and images, packed one after another.

Dimensions: T timesteps (those of one call), B images, K tokens in the tensor now, R live rows, D channels, C classes.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models import native
from models.at_snn import ATSNN, ATSNNOutput, Past, Tokens
from models.native import fused
from models.neuron import Membranes, lif, wide
from models.spikformer import network as spikformer
from models.spikformer.network import ATTENTION_SCALE, ATTENTION_THRESHOLD, NormLinear, SpikingLinear, attention, normalise
from models.spikingformer import network as spikingformer


class EarlyOutput(NamedTuple):
    """What images that stop early give: the mean of the logits up to the timestep where each stopped, from 1."""

    logits: Float[Tensor, "B C"]
    timesteps: Int[Tensor, " B"]


class PackedATSNN(nn.Module):
    """An AT-SNN network in evaluation mode, without gradient. `model` keeps its weights and options; both share them.

    Raises ValueError for blocks that are neither Spikformer's nor Spikingformer's.
    """

    def __init__(self, model: ATSNN):
        super().__init__()
        if not all(type(block) in PACKED_BLOCKS for block in model.backbone.blocks):
            known = " and ".join(block.__module__ for block in PACKED_BLOCKS)
            raise ValueError(f"PackedATSNN computes the blocks of {known} only: use the masked model for others")
        self.model = model.eval()

    @torch.no_grad()
    def forward(self, image: Float[Tensor, "B 3 S S"], *, trace: bool = False) -> ATSNNOutput:
        """All timesteps of all images; with `trace`, what happened to each token too."""
        self.model.eval()
        return self.model.adapt(self.model.backbone.embed(image), self.compute, trace=trace)

    @torch.no_grad()
    def until(self, image: Float[Tensor, "B 3 S S"], stops: Callable[[Float[Tensor, "B C"]], Bool[Tensor, " B"]]) -> EarlyOutput:
        """Timestep after timestep; an image leaves once `stops` says so of the mean of its logits so far, or at the last."""
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
        """Block `number`, from 1, on live rows; the others are 0."""
        rows = Rows(tokens.live if number > 1 else torch.ones_like(tokens.live), membranes)
        block = self.model.backbone.blocks[number - 1]
        return rows.unpack(PACKED_BLOCKS[type(block)](block, rows.pack(tokens.u), rows))


def spikformer_block(block: spikformer.Block, u: Float[Tensor, "R D"], rows: "Rows") -> Float[Tensor, "R D"]:
    """`Block` on live rows."""
    qkv = rows.spiking_linear(block.attention.qkv, u)
    spikes = rows.attention(block.attention, qkv)
    u = u + rows.spiking_linear(block.attention.projection, spikes)
    return u + rows.spiking_linear(block.mlp.output, rows.spiking_linear(block.mlp.hidden, u))


def spikingformer_block(block: spikingformer.Block, u: Float[Tensor, "R D"], rows: "Rows") -> Float[Tensor, "R D"]:
    """`Block` on live rows."""
    qkv = rows.spiking_linear(block.attention.qkv, rows.lif(block.attention.neuron, u))
    u = u + norm_linear(block.attention.projection, rows.attention(block.attention, qkv))
    hidden = rows.spiking_linear(block.mlp.hidden, rows.lif(block.mlp.neuron, u))
    return u + norm_linear(block.mlp.output, hidden)


PACKED_BLOCKS = {spikformer.Block: spikformer_block, spikingformer.Block: spikingformer_block}


def norm_linear(layer: NormLinear, x: Float[Tensor, "R D"]) -> Float[Tensor, "R E"]:
    """BN(Linear) of live rows."""
    return normalise(layer.linear(x), layer.bn)


class Rows:
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
