"""Define the layers of spiking networks: a convolution or linear layer, its batch norm, and the neuron behind them.

Dimensions: T timesteps, S timesteps that are given (T, or 1 for all), B batch, K tokens, D and E channels, N heads, H W height
and width, h w those after pooling, R live rows. Everything is kept channels-last, [T, B, H, W, D] and [T, B, K, D], so that
tokens in row-major order are a view of the feature map.
"""
# Tested in tests/models/native/test_fused.py

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models import native
from models.native import event_driven, fused
from models.neuron import Membranes, lif, norm_lif, wide
from models.norm_over_processes import Norm, sum_over_processes

ATTENTION_SCALE = 0.125  # whatever the width: the published constant
ATTENTION_THRESHOLD = 0.5  # of the neuron after attention; all others fire at 1


class NormConv(nn.Module):
    """BN(3x3 convolution): stride 1, padding 1, no bias."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
        self.bn = nn.BatchNorm1d(outputs)  # over rows, since channels come last

    def forward(self, x: Float[Tensor, "T B H W D"]) -> Float[Tensor, "T B H W E"]:
        return normalise(self.convolve(x), self.bn)

    def convolve(self, x: Float[Tensor, "S B H W D"]) -> Float[Tensor, "S B H W E"]:
        """Compute the convolution of channels-last feature maps."""
        if native.supports(x):
            return event_driven.convolve(x, self.conv.weight)
        return self.conv(x.flatten(0, 1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


class SpikingConv(NormConv):
    """LIF(BN(3x3 convolution)). An input given once (S = 1) is the same at every timestep."""

    def forward(
        self, x: Float[Tensor, "S B H W D"], timesteps: int, membranes: Membranes | None = None
    ) -> Float[Tensor, "T B H W E"]:
        current = self.convolve(x)
        membrane = None if membranes is None else membranes.of(self, current[0])
        return norm_lif(current, self.bn, timesteps, membrane=membrane)


class NormLinear(nn.Module):
    """BN(Linear) of live rows, 0 in the others."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(
        self, x: Float[Tensor, "T B K D"], live: Bool[Tensor, "T B K"] | None = None, bn_rows: str = "all"
    ) -> Float[Tensor, "T B K E"]:
        if live is not None and bn_rows == "live":
            return spread(self.normalise_few(wide(self.multiply(x[live]))), live)
        normalised = normalise(self.multiply(x), self.bn)
        return normalised if live is None else torch.where(live[..., None], normalised, 0)

    def multiply(self, x: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows E"]:
        """Compute the linear layer."""
        if not native.supports(x):
            return self.linear(x)
        y = event_driven.linear(x, self.linear.weight)
        return y if self.linear.bias is None else y + self.linear.bias

    def normalise_few(self, rows: Float[Tensor, "R E"]) -> Float[Tensor, "R E"]:
        """Compute BN of any number of rows: fewer than two have no variance, so they use the running statistics."""
        if self.training and sum_over_processes(self.bn, rows.new_zeros(0, dtype=torch.float64), len(rows))[1] < 2:
            return F.batch_norm(rows, self.bn.running_mean, self.bn.running_var, self.bn.weight, self.bn.bias, eps=self.bn.eps)
        return self.bn(rows)


class SpikingLinear(NormLinear):
    """LIF(BN(Linear)) of live rows; a row that is not live receives zero current and stays silent."""

    def forward(
        self, x: Float[Tensor, "T B K D"], live: Bool[Tensor, "T B K"] | None = None, bn_rows: str = "all"
    ) -> Float[Tensor, "T B K E"]:
        if live is not None and bn_rows == "live":
            return lif(spread(self.normalise_few(self.multiply(x[live])), live))
        if native.supports(x):  # the kernels add the bias to the norm's shift
            return norm_lif(event_driven.linear(x, self.linear.weight), self.bn, len(x), live, self.linear.bias)
        return norm_lif(self.linear(x), self.bn, len(x), live)


def initialise(module: nn.Module) -> None:
    """Initialise linear layers as published: weights from a truncated normal of standard deviation 0.02, biases 0."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


def normalise(current: Float[Tensor, "*rows E"], bn: Norm) -> Float[Tensor, "*rows E"]:
    """Compute BN over all rows, in float32 at least."""
    return bn(wide(current).flatten(0, -2)).unflatten(0, current.shape[:-1])


def spread(rows: Float[Tensor, "R E"], live: Bool[Tensor, "T B K"]) -> Float[Tensor, "T B K E"]:
    """Put packed rows where `live` is true, 0 elsewhere."""
    return rows.new_zeros(*live.shape, rows.shape[1]).index_put((live,), rows)


def attention(qkv: Float[Tensor, "T B K E"], heads: int) -> Float[Tensor, "T B K D"]:
    """Compute q (k^T v) of each head; q, k and v lie side by side, E = 3 D."""
    if native.supports(qkv):
        tokens = qkv.shape[2]
        start = torch.arange(0, qkv.shape[:3].numel() + 1, tokens)
        return fused.Attention.apply(qkv.flatten(0, 2), start, heads).unflatten(0, qkv.shape[:3])
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(3, 0, 1, 4, 2, 5)  # [T B N K D/N]
    return (q @ (k.mT @ v)).transpose(2, 3).flatten(-2)


def max_pool(x: Float[Tensor, "T B H W D"]) -> Float[Tensor, "T B h w D"]:
    """Take the maximum of 3x3 windows, stride 2, padding 1: h = H/2, w = W/2, rounded up."""
    if native.supports(x):
        return fused.MaxPool.apply(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    pooled = F.max_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), kernel_size=3, stride=2, padding=1)
    return pooled.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])
