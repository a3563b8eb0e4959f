"""Spikformer (Eq. 1): spike patch splitting, L blocks of spiking self-attention and MLP, one head per timestep.

Dimensions: T timesteps, B batch, K tokens, D channels, C classes, N heads, H W height and width. Everything is kept
channels-last, [T, B, H, W, D] and [T, B, K, D], so that tokens in row-major order are a view of the feature map.
Source: Zhou et al. 2022, https://arxiv.org/abs/2209.15425, and its published code, whose weights `models.convert` reads.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models import native
from models.native import fused
from models.neuron import Membranes, lif, norm_lif, wide
from models.norm_over_processes import Norm, of_all

ATTENTION_SCALE = 0.125  # whatever the width: the published constant
ATTENTION_THRESHOLD = 0.5  # of the neuron after attention; all others fire at 1
POOLED_STAGES = {32: (2, 3), 64: (1, 2, 3)}  # by image size: 8 x 8 = 64 tokens either way

BN_ROWS = ("all", "live")  # which rows batch norm sees in training, once tokens halt


class SpikformerOutput(NamedTuple):
    logits: Float[Tensor, "T B C"]


class NormConv(nn.Module):
    """BN(3x3 convolution): stride 1, padding 1, no bias."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
        self.bn = nn.BatchNorm1d(outputs)  # over rows: channels come last

    def forward(self, x: Float[Tensor, "T B H W D"]) -> Float[Tensor, "T B H W E"]:
        return normalise(self.convolve(x), self.bn)

    def convolve(self, x: Float[Tensor, "S B H W D"]) -> Float[Tensor, "S B H W E"]:
        return self.conv(x.flatten(0, 1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


class SpikingConv(NormConv):
    """LIF(BN(3x3 convolution)). An input given once (S = 1) is the same at every timestep."""

    def forward(
        self, x: Float[Tensor, "S B H W D"], timesteps: int, membranes: Membranes | None = None
    ) -> Float[Tensor, "T B H W E"]:
        current = self.convolve(x)
        membrane = None if membranes is None else membranes.of(self, current[0])
        return norm_lif(current, self.bn, timesteps, membrane=membrane)


class PatchSplitting(nn.Module):
    """Four spiking convolutions with max pooling among them: an image becomes 8 x 8 vectors of spikes."""

    def __init__(self, width: int, image_size: int = 32):
        super().__init__()
        if image_size not in POOLED_STAGES:
            raise ValueError(f"image_size {image_size} is not supported: use one of {sorted(POOLED_STAGES)}")
        channels = (3, width // 8, width // 4, width // 2, width)
        self.stages = nn.ModuleList(SpikingConv(a, b) for a, b in zip(channels[:-1], channels[1:]))
        self.image_size = image_size

    def split(
        self, image: Float[Tensor, "B 3 S S"], timesteps: int, membranes: Membranes | None = None
    ) -> Float[Tensor, "T B H W D"]:
        x = image.permute(0, 2, 3, 1).contiguous()[None]
        for index, stage in enumerate(self.stages):
            x = stage(x, timesteps, membranes)
            if index in POOLED_STAGES[self.image_size]:
                x = max_pool(x)
        return x


class SPS(PatchSplitting):
    """Spike patch splitting S(x): an image becomes 64 tokens of spike counts in {0, 1, 2}, in row-major order."""

    def __init__(self, width: int, image_size: int = 32):
        super().__init__(width, image_size)
        self.position = SpikingConv(width, width)

    def forward(
        self, image: Float[Tensor, "B 3 S S"], timesteps: int, membranes: Membranes | None = None
    ) -> Float[Tensor, "T B K D"]:
        x = self.split(image, timesteps, membranes)
        return (x + self.position(x, timesteps, membranes)).flatten(2, 3)


class NormLinear(nn.Module):
    """BN(Linear) of the rows that are live, 0 in the others."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(
        self, x: Float[Tensor, "T B K D"], live: Bool[Tensor, "T B K"] | None = None, bn_rows: str = "all"
    ) -> Float[Tensor, "T B K E"]:
        if live is not None and bn_rows == "live":
            return spread(self.normalise_few(wide(self.linear(x[live]))), live)
        normalised = normalise(self.linear(x), self.bn)
        return normalised if live is None else torch.where(live[..., None], normalised, 0)

    def normalise_few(self, rows: Float[Tensor, "R E"]) -> Float[Tensor, "R E"]:
        """BN of however many rows are left: fewer than two have no variance, so they use the running statistics."""
        if self.training and of_all(self.bn, rows.new_zeros(0, dtype=torch.float64), len(rows))[1] < 2:
            return F.batch_norm(rows, self.bn.running_mean, self.bn.running_var, self.bn.weight, self.bn.bias, eps=self.bn.eps)
        return self.bn(rows)


class SpikingLinear(NormLinear):
    """LIF(BN(Linear)), on the rows that are live; a row that is not receives zero current and stays silent."""

    def forward(
        self, x: Float[Tensor, "T B K D"], live: Bool[Tensor, "T B K"] | None = None, bn_rows: str = "all"
    ) -> Float[Tensor, "T B K E"]:
        if live is not None and bn_rows == "live":
            return lif(spread(self.normalise_few(self.linear(x[live])), live))
        if native.supports(x):  # they add the bias to the norm's shift
            return norm_lif(F.linear(x, self.linear.weight), self.bn, len(x), live, self.linear.bias)
        return norm_lif(self.linear(x), self.bn, len(x), live)


class SSA(nn.Module):
    """Spiking self-attention: LIF(0.125 q k^T v) without softmax, then LIF(BN(Linear)).

    Computed as q (k^T v): the same number in exact arithmetic, and cheaper where K > D/N. `output` is what the last layer
    is, `bias` whether q, k and v have one: a network that differs there is made of this one.
    """

    def __init__(self, width: int, heads: int, *, output: type[NormLinear] = SpikingLinear, bias: bool = True):
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} can't be divided into {heads} heads: choose heads that divide the width")
        self.heads = heads
        self.qkv = SpikingLinear(width, 3 * width, bias)
        self.projection = output(width, width)

    def forward(
        self, x: Float[Tensor, "T B K D"], live: Bool[Tensor, "T B K"] | None = None, bn_rows: str = "all"
    ) -> Float[Tensor, "T B K D"]:
        spikes = lif(attention(self.qkv(x, live, bn_rows), self.heads), ATTENTION_THRESHOLD, ATTENTION_SCALE)
        return self.projection(spikes, live, bn_rows)


class MLP(nn.Module):
    """LIF(BN(Linear D -> ratio D)), then LIF(BN(Linear ratio D -> D)), or what `output` makes of the last."""

    def __init__(self, width: int, ratio: int = 4, *, output: type[NormLinear] = SpikingLinear):
        super().__init__()
        self.hidden = SpikingLinear(width, ratio * width)
        self.output = output(ratio * width, width)

    def forward(
        self, x: Float[Tensor, "T B K D"], live: Bool[Tensor, "T B K"] | None = None, bn_rows: str = "all"
    ) -> Float[Tensor, "T B K D"]:
        return self.output(self.hidden(x, live, bn_rows), live, bn_rows)


class Block(nn.Module):
    """u + SSA(u), then u + MLP(u): the stream u holds non-negative integers, at most 2 more per block."""

    parts: tuple[type[SSA], type[MLP]] = (SSA, MLP)

    def __init__(self, width: int, heads: int):
        super().__init__()
        attention, mlp = self.parts
        self.attention = attention(width, heads)
        self.mlp = mlp(width)

    def forward(
        self, u: Float[Tensor, "T B K D"], live: Bool[Tensor, "T B K"] | None = None, bn_rows: str = "all"
    ) -> Float[Tensor, "T B K D"]:
        u = u + self.attention(u, live, bn_rows)
        return u + self.mlp(u, live, bn_rows)


class SpikingTransformer(nn.Module):
    """Patch splitting, blocks and a head, with the logits of every timestep; the prediction is their mean over T.

    A subclass names its `splitting` and its `block`, and how its weights start.
    `width` must be a multiple of 8 and of `heads`; `image_size` is 32 or 64. `timesteps` may be changed at any time.
    """

    def __init__(
        self, *, depth: int = 4, width: int = 384, heads: int = 12, classes: int = 10, timesteps: int = 4, image_size: int = 32
    ):
        super().__init__()
        if depth < 1 or timesteps < 1:
            raise ValueError(f"depth {depth} and timesteps {timesteps} must be at least 1")
        if width % 8:
            raise ValueError(f"width {width} is not a multiple of 8, which patch splitting needs")
        self.timesteps = timesteps
        self.sps = self.splitting(width, image_size)
        self.blocks = nn.ModuleList(self.block(width, heads) for _ in range(depth))
        self.head = nn.Linear(width, classes)
        self.start()

    def forward(self, image: Float[Tensor, "B 3 S S"]) -> SpikformerOutput:
        u = self.embed(image)
        for block in self.blocks:
            u = block(u)
        return SpikformerOutput(self.classify(u.mean(dim=2)))

    def embed(
        self, image: Float[Tensor, "B 3 S S"], timesteps: int | None = None, membranes: Membranes | None = None
    ) -> Float[Tensor, "T B K D"]:
        """The tokens after patch splitting, in float32 at least: from here on the residual stream adds up.

        Of all timesteps, or of the next ones, where `membranes` keeps the state of those before them.
        """
        size = self.sps.image_size
        if image.shape[-3:] != (3, size, size):
            raise ValueError(f"images of shape {tuple(image.shape[1:])} given, this network takes (3, {size}, {size})")
        return wide(self.sps(image, timesteps or self.timesteps, membranes))

    def classify(self, feature: Float[Tensor, "T B D"]) -> Float[Tensor, "T B C"]:
        """FC of Eq. 1, outside autocast: eight bits of a bfloat16 logit would tie predictions."""
        with torch.autocast(feature.device.type, enabled=False):
            return self.head(feature)


class Spikformer(SpikingTransformer):
    """f(x) of Eq. 1."""

    splitting, block = SPS, Block

    def start(self) -> None:
        self.apply(initialise)


def initialise(module: nn.Module) -> None:
    """The published start: linear weights from a truncated normal of standard deviation 0.02, biases 0."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


def normalise(current: Float[Tensor, "*rows E"], bn: Norm) -> Float[Tensor, "*rows E"]:
    """BN over all rows, in float32 at least."""
    return bn(wide(current).flatten(0, -2)).unflatten(0, current.shape[:-1])


def spread(rows: Float[Tensor, "R E"], live: Bool[Tensor, "T B K"]) -> Float[Tensor, "T B K E"]:
    """The rows where they are live, 0 elsewhere."""
    return rows.new_zeros(*live.shape, rows.shape[1]).index_put((live,), rows)


def attention(qkv: Float[Tensor, "T B K E"], heads: int) -> Float[Tensor, "T B K D"]:
    """q (k^T v) of each head; q, k and v lie side by side, E = 3 D."""
    if native.supports(qkv):
        tokens = qkv.shape[2]
        start = torch.arange(0, qkv.shape[:3].numel() + 1, tokens)
        return fused.Attention.apply(qkv.flatten(0, 2), start, heads).unflatten(0, qkv.shape[:3])
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(3, 0, 1, 4, 2, 5)  # [T B N K D/N]
    return (q @ (k.mT @ v)).transpose(2, 3).flatten(-2)


def max_pool(x: Float[Tensor, "T B H W D"]) -> Float[Tensor, "T B h w D"]:
    """3x3, stride 2, padding 1: halves height and width."""
    if native.supports(x):
        return fused.MaxPool.apply(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    pooled = F.max_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), kernel_size=3, stride=2, padding=1)
    return pooled.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])
