"""Define Spikformer (Eq. 1): spike patch splitting, L blocks of spiking self-attention and MLP, one head for every timestep.

Dimensions: T timesteps, B batch, K tokens, D channels, C classes, N heads, H W height and width. Everything is kept
channels-last, [T, B, H, W, D] and [T, B, K, D], so that tokens in row-major order are a view of the feature map.
Source: Zhou et al. 2022, https://arxiv.org/abs/2209.15425, and its published code, whose weights `models.convert` reads.
"""
# Tested in tests/models/spikformer/test_spikformer.py

from collections.abc import Iterator

from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.backbone import SpikeTap, TokenBackbone
from models.energy_taps import COUNTS, NUMBERS, SPIKES, EnergyTap, attention_taps, conv_tap, head_tap, linear_tap
from models.live_rows import LiveRows
from models.neuron import Membranes, lif, wide
from models.patch_splitting import PatchSplitting
from models.spiking_layers import (
    ATTENTION_SCALE,
    ATTENTION_THRESHOLD,
    NormLinear,
    SpikingConv,
    SpikingLinear,
    attention,
    initialise,
)


class SPS(PatchSplitting):
    """Spike patch splitting S(x), from an image to 64 tokens of spike counts in {0, 1, 2}, in row-major order."""

    def __init__(self, width: int, image_size: int = 32):
        super().__init__(width, image_size)
        self.position = SpikingConv(width, width)

    def forward(
        self, image: Float[Tensor, "B 3 S S"], timesteps: int, membranes: Membranes | None = None
    ) -> Float[Tensor, "T B K D"]:
        x = self.split(image, timesteps, membranes)
        return (x + self.position(x, timesteps, membranes)).flatten(2, 3)


class SSA(nn.Module):
    """Spiking self-attention: LIF(0.125 q k^T v) without softmax, then LIF(BN(Linear)).

    Computed as q (k^T v): the same number in exact arithmetic, and cheaper where K > D/N. output: the class of the last layer.
    bias: whether q, k and v have one. Networks that differ in these only are subclasses of this one.
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
    """LIF(BN(Linear D -> ratio D)), then LIF(BN(Linear ratio D -> D)), or another last layer: `output` is its class."""

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
    reads = COUNTS  # kind of inputs that SSA and MLP read from the stream

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

    def on_live_rows(self, u: Float[Tensor, "R D"], rows: LiveRows) -> Float[Tensor, "R D"]:
        """Compute the block on live rows alone (`models.packed`)."""
        qkv = rows.spiking_linear(self.attention.qkv, u)
        spikes = rows.attention(self.attention, qkv)
        u = u + rows.spiking_linear(self.attention.projection, spikes)
        return u + rows.spiking_linear(self.mlp.output, rows.spiking_linear(self.mlp.hidden, u))


class SpikingTransformer(TokenBackbone):
    """Patch splitting, blocks and a head, with the logits of every timestep; the prediction is their mean over T.

    A subclass has `splitting` and `block`, the classes of its parts, `spiking`, those of layers whose output is spikes, and
    `start`, which initialises its weights. `width` must be a multiple of 8 and of `heads`; `image_size` is 32 or 64.
    `timesteps` may be changed at any time.
    """

    spiking: tuple[type[nn.Module], ...] = (SpikingConv, SpikingLinear)

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

    def embed(
        self, image: Float[Tensor, "B 3 S S"], timesteps: int | None = None, membranes: Membranes | None = None
    ) -> Float[Tensor, "T B K D"]:
        """Compute the tokens after patch splitting, in float32 at least, since the residual stream adds up from here.

        Of all timesteps, or of the next `timesteps` ones, where `membranes` keeps the state of those before them.
        Raises ValueError for images of another size.
        """
        size = self.sps.image_size
        if image.shape[-3:] != (3, size, size):
            raise ValueError(f"images of shape {tuple(image.shape[1:])} given, this network takes (3, {size}, {size})")
        return wide(self.sps(image, timesteps or self.timesteps, membranes))

    def energy_taps(self) -> list[EnergyTap]:
        """List convolutions, each block's layers and products, and the head; `reads` is the kind that SSA and MLP read."""
        taps = [conv_tap(f"conv{i}", stage, SPIKES if i > 1 else NUMBERS) for i, stage in enumerate(self.sps.stages, start=1)]
        taps += [conv_tap(name, layer, SPIKES) for name, layer in self.sps.named_children() if name != "stages"]
        for number, block in enumerate(self.blocks, start=1):
            attention, mlp = block.attention, block.mlp
            taps.append(linear_tap("ssa", number, "qkv", attention.qkv, block.reads))
            taps += attention_taps(number, attention.qkv, attention.heads)
            taps.append(linear_tap("ssa", number, "projection", attention.projection, SPIKES))
            taps.append(linear_tap("mlp", number, "hidden", mlp.hidden, block.reads))
            taps.append(linear_tap("mlp", number, "output", mlp.output, SPIKES))
        return [*taps, head_tap(self.head)]

    def spike_taps(self) -> Iterator[SpikeTap]:
        """Yield every layer that ends in a neuron, q, k and v each, and the neurons after attention, which belong to no layer."""
        for name, module in self.named_modules():
            if isinstance(module, SSA):
                yield SpikeTap(tuple(f"{name}.{part}" for part in "qkv"), module.qkv)
                yield SpikeTap((name,), module.projection, given=True)
            elif isinstance(module, self.spiking) and not name.endswith(".qkv"):
                yield SpikeTap((name,), module)


class Spikformer(SpikingTransformer):
    """Spikformer, f(x) of Eq. 1."""

    splitting, block = SPS, Block

    def start(self) -> None:
        """Initialise all linear layers as published."""
        self.apply(initialise)
