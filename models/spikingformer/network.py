"""Define Spikingformer: a neuron before each layer, a norm after it, and tokens that are real numbers.

Its layers are those of `models.spikformer` in another order: SSA and MLP begin with neurons that read the residual stream
and end with a norm, so that they add real numbers to it, not counts of spikes. Dimensions as there: T timesteps, B batch,
K tokens, D channels.
Source: Zhou et al. 2023, https://arxiv.org/abs/2304.11954, and its published code
(https://github.com/zhouchenlin2096/Spikingformer, `cifar10/model.py`), whose weights `models.convert` reads.
"""
# Tested in tests/models/spikingformer/test_spikingformer.py

from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.energy_taps import SPIKES
from models.live_rows import LiveRows
from models.neuron import Membranes, lif
from models.patch_splitting import PatchSplitting
from models.spikformer import network as spikformer
from models.spikformer.network import SpikingTransformer
from models.spiking_layers import NormConv, NormLinear, initialise


class Tokenizer(PatchSplitting):
    """Tokenizer from an image to 64 tokens, in row-major order: the spiking convolutions and pools of `models.spikformer.SPS`,
    then BN(3x3 convolution) without a neuron behind it.

    Reading: the published network for images of 32 x 32 pools after its third and fourth neuron; for 64 x 64, which it has
    no network for, there is one more pool after the second, as in Spikformer, so that 64 tokens result.
    """

    def __init__(self, width: int, image_size: int = 32):
        super().__init__(width, image_size)
        self.output = NormConv(width, width)

    def forward(
        self, image: Float[Tensor, "B 3 S S"], timesteps: int, membranes: Membranes | None = None
    ) -> Float[Tensor, "T B K D"]:
        return self.output(self.split(image, timesteps, membranes)).flatten(2, 3)


class Neuron(nn.Module):
    """LIF at threshold 1 of the residual stream, first in SSA and MLP. A row that is not live is 0, so it stays silent."""

    def forward(self, u: Float[Tensor, "T B K D"]) -> Float[Tensor, "T B K D"]:
        return lif(u)


class SSA(spikformer.SSA):
    """Spiking self-attention of LIF(u): BN(Linear(LIF(0.125 q k^T v))), q, k and v without bias."""

    def __init__(self, width: int, heads: int):
        super().__init__(width, heads, output=NormLinear, bias=False)
        self.neuron = Neuron()

    def forward(
        self, u: Float[Tensor, "T B K D"], live: Bool[Tensor, "T B K"] | None = None, bn_rows: str = "all"
    ) -> Float[Tensor, "T B K D"]:
        return super().forward(self.neuron(u), live, bn_rows)


class MLP(spikformer.MLP):
    """BN(Linear 4 D -> D) of LIF(BN(Linear D -> 4 D)) of LIF(u)."""

    def __init__(self, width: int):
        super().__init__(width, output=NormLinear)
        self.neuron = Neuron()

    def forward(
        self, u: Float[Tensor, "T B K D"], live: Bool[Tensor, "T B K"] | None = None, bn_rows: str = "all"
    ) -> Float[Tensor, "T B K D"]:
        return super().forward(self.neuron(u), live, bn_rows)


class Block(spikformer.Block):
    """u + SSA(u), then u + MLP(u): the stream u holds real numbers of either sign."""

    parts = (SSA, MLP)
    reads = SPIKES  # both begin with a neuron

    def on_live_rows(self, u: Float[Tensor, "R D"], rows: LiveRows) -> Float[Tensor, "R D"]:
        """Compute the block on live rows alone (`models.packed`)."""
        qkv = rows.spiking_linear(self.attention.qkv, rows.lif(self.attention.neuron, u))
        u = u + rows.norm_linear(self.attention.projection, rows.attention(self.attention, qkv))
        hidden = rows.spiking_linear(self.mlp.hidden, rows.lif(self.mlp.neuron, u))
        return u + rows.norm_linear(self.mlp.output, hidden)


class Spikingformer(SpikingTransformer):
    """Spikingformer with the logits of every timestep. The published network gives its head the mean over T; the head is
    linear, so the mean of these logits is the published logit.
    """

    splitting, block = Tokenizer, Block
    spiking = (*SpikingTransformer.spiking, Neuron)

    def start(self) -> None:
        """Initialise the head as Spikformer's; the other layers, convolutions in the published code, keep torch's own start,
        as published.
        """
        self.head.apply(initialise)
