"""Norm and neuron, pooling and attention as one pass over memory each, forward and backward, by models/native.

They give the numbers of the plain code in models/neuron.py and models/spikformer.py up to the order of sums, and keep less:
for the gradient only the current before the norm, in the dtype it was computed in.

Dimensions: T timesteps, S timesteps that are given (T, or 1 for all), N neurons' rows (images x positions), E channels,
R live rows, D channels of a token.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from models.native.build import call
from models.norm_over_processes import Norm, of_all

WIDTH = 64  # channels that keep a kernel's loops long enough


def norm_lif(
    y: Float[Tensor, "S *shape E"],
    bn: Norm,
    timesteps: int,
    alpha: float,
    *,
    live: Bool[Tensor, "T *shape"] | None = None,
    bias: Float[Tensor, " E"] | None = None,
    membrane: Float[Tensor, "*shape E"] | None = None,
) -> Float[Tensor, "T *shape E"]:
    """`models.neuron.norm_lif`. In training the gradient of the bias is 0, since the norm's mean takes it out.

    Raises ValueError for a single row in training: it has no variance.
    """
    scale, shift, mean, deviation = affine(y, bn, timesteps, bias)
    index = None if live is None else live_rows(live)
    flat = y.flatten(1, -2).contiguous()
    if membrane is not None:
        spikes = fire(flat, index, scale, shift, 1.0, timesteps, membrane)
    else:
        settings = (index, timesteps, 1.0, alpha, bn if bn.training else None)
        spikes = AffineLIF.apply(flat, bias, bn.weight, bn.bias, scale, shift, mean, deviation, *settings)
    return spikes.unflatten(1, y.shape[1:-1])


def lif(
    current: Float[Tensor, "T *shape"],
    threshold: float,
    alpha: float,
    scale: float = 1.0,
    membrane: Float[Tensor, "*shape"] | None = None,
) -> Float[Tensor, "T *shape"]:
    """`models.neuron.lif`."""
    y = current.contiguous().reshape(len(current), -1, current.shape[-1] if current.ndim > 1 else 1)
    factor = torch.full(y.shape[-1:], scale, dtype=torch.promote_types(y.dtype, torch.float32))
    none = torch.zeros_like(factor)
    if membrane is not None:
        return fire(y, None, factor, none, threshold, len(y), membrane).view(current.shape)
    settings = (None, len(y), threshold, alpha, None)
    return AffineLIF.apply(y, None, none, none, factor, none, none, none, *settings).view(current.shape)


def live_rows(live: Bool[Tensor, "T *shape"]) -> Int[Tensor, "T N"]:
    """Where each neuron's row lies among all rows; ~ of it, which is negative, where it is not live."""
    place = torch.arange(live.numel()).view(len(live), -1)
    return torch.where(live.flatten(1), place, ~place)


@torch.no_grad()
def affine(
    y: Float[Tensor, "*rows E"], bn: Norm, timesteps: int = 1, bias: Float[Tensor, " E"] | None = None
) -> tuple[Float[Tensor, " E"], ...]:
    """The norm of y + bias as scale and shift of y, and the mean and 1 / deviation behind them. In training they are y's
    own (over T copies where it is given once), and the running statistics move on.
    """
    wide = torch.promote_types(y.dtype, torch.float32)
    added = 0 if bias is None else bias
    if bn.training:
        mean, variance, rows = moments(y, bn)
        count = rows * (timesteps // len(y))
        if count < 2:
            raise ValueError("one row has no variance: batch norm in training needs more images, tokens or timesteps")
        bn.running_mean.lerp_((mean + added).to(bn.running_mean), bn.momentum)
        bn.running_var.lerp_((variance * (count / (count - 1))).to(bn.running_var), bn.momentum)
        bn.num_batches_tracked += 1
    else:
        mean, variance = bn.running_mean.double() - added, bn.running_var.double()
    deviation = (variance + bn.eps).rsqrt()
    scale = bn.weight * deviation
    return tuple(x.to(wide).contiguous() for x in (scale, bn.bias - mean * scale, mean, deviation))


def moments(y: Float[Tensor, "*rows E"], bn: Norm) -> tuple[Float[Tensor, " E"], Float[Tensor, " E"], int]:
    """Mean and biased variance of each channel, in float64, and over how many rows: those of all processes that share the norm."""
    channels, rows = y.shape[-1], y.numel() // y.shape[-1]
    group = grouping(rows, channels)
    sums = torch.empty(2, group, channels, dtype=torch.float64)
    call("moments", y, rows // group, group * channels, sums)
    sums, rows = of_all(bn, sums.sum(dim=1), rows)
    mean, square = sums / rows
    return mean, (square - mean.square()).clamp_min(0), rows


def grouping(rows: int, channels: int) -> int:
    """How many rows of few channels a kernel may take as one row of many."""
    group = max(1, WIDTH // channels)
    return group if rows % group == 0 else 1


def fire(
    y: Float[Tensor, "S N E"] | Float[Tensor, "R E"],
    index: Int[Tensor, "T N"] | None,
    scale: Float[Tensor, " E"],
    shift: Float[Tensor, " E"],
    threshold: float,
    timesteps: int,
    membrane: Float[Tensor, "*shape E"] | None = None,
) -> Float[Tensor, "T N E"] | Float[Tensor, "R E"]:
    """LIF(scale * y + shift) of all rows, or of those that `index` names, negative for one that is not live then."""
    packed, channels = y.ndim == 2, y.shape[-1]
    neurons = y.shape[1] if index is None else index.shape[1]
    group = grouping(neurons, channels) if index is None else 1
    shape = y.shape if packed else (timesteps, *y.shape[1:])
    spikes = (torch.zeros if index is not None and not packed else torch.empty)(shape, dtype=y.dtype)
    sizes = (timesteps, neurons // group, group * channels, int(not packed and len(y) < timesteps))
    call("lif_forward", y, index, scale.repeat(group), shift.repeat(group), threshold, *sizes, membrane, spikes)
    return spikes


class AffineLIF(Function):
    """LIF(scale * y + shift), where scale and shift may follow from y's own moments, and from what is named before them:
    the layer's bias, and the norm's weight and bias. `norm` is that norm where they are the moments of training, else None.
    """

    @staticmethod
    def forward(ctx, y, added, weight, bias, scale, shift, mean, deviation, index, timesteps, threshold, alpha, norm):
        ctx.save_for_backward(y, scale, shift, mean, deviation, index)
        ctx.settings = timesteps, threshold, alpha, norm, added is not None
        return fire(y, index, scale, shift, threshold, timesteps)

    @staticmethod
    @once_differentiable
    def backward(ctx, above):
        y, scale, shift, mean, deviation, index = ctx.saved_tensors
        timesteps, threshold, alpha, norm, of_added = ctx.settings
        given, neurons, channels = y.shape
        group = grouping(neurons, channels) if index is None else 1
        gradient = torch.empty_like(y) if index is None else torch.zeros_like(y)
        sums = torch.empty(2, group, channels, dtype=torch.float64)
        sizes = (timesteps, neurons // group, group * channels, int(given < timesteps))
        vectors = [x.repeat(group) for x in (scale, shift, mean, deviation)]
        call("lif_backward", y, index, *vectors, above.contiguous(), threshold, alpha, *sizes, gradient, sums)
        total, product = own = sums.sum(dim=1)
        if norm is not None:
            own_rows = given * neurons  # where T steps share a row, so do they its gradient: T / (T rows) of the sums
            (all_total, all_product), rows = of_all(norm, own, own_rows)
            factor = scale * deviation * all_product / rows
            constant = scale * all_total / rows - factor * mean
            fit = [x.to(scale).repeat(group) for x in (constant, factor)]
            call("norm_backward", y, own_rows // group, group * channels, *fit, gradient)
        added = (scale * total * (norm is None)).to(scale) if of_added else None
        return gradient, added, product.to(scale), total.to(scale), *(None,) * 9


class MaxPool(Function):
    """3x3, stride 2, padding 1, of frames [F, H, W, E]; the gradient goes to the first maximum of each window."""

    @staticmethod
    def forward(ctx, x):
        frames, height, width, channels = x.shape
        pooled = x.new_empty(frames, (height + 1) // 2, (width + 1) // 2, channels)
        place = torch.empty(pooled.shape, dtype=torch.uint8)
        call("pool_forward", x, *x.shape, pooled, place)
        ctx.save_for_backward(place)
        ctx.shape = x.shape
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx, above):
        (place,) = ctx.saved_tensors
        gradient = above.new_empty(ctx.shape)
        call("pool_backward", above.contiguous(), place, *ctx.shape, gradient)
        return gradient


class Attention(Function):
    """q (k^T v) for each segment of rows and each head: qkv [R, 3 D], `start` [segments + 1] -> [R, D]."""

    @staticmethod
    def forward(ctx, qkv, start, heads):
        attended = qkv.new_empty(len(qkv), qkv.shape[1] // 3)
        ctx.save_for_backward(qkv, start)
        ctx.sizes = (len(start) - 1, heads, attended.shape[1] // heads)
        call("attention_forward", qkv, start, *ctx.sizes, attended)
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx, above):
        qkv, start = ctx.saved_tensors
        gradient = torch.empty_like(qkv)
        call("attention_backward", qkv, above.contiguous(), start, *ctx.sizes, gradient)
        return gradient, None, None


def similarity(token: Float[Tensor, "T B K D"], floor: float) -> Float[Tensor, "T B I J"]:
    """`models.merging.similarity` of even and odd tokens: in float32 where that is exact, else in float64."""
    token = token.detach().contiguous()
    like = torch.empty(*token.shape[:2], (token.shape[2] + 1) // 2, token.shape[2] // 2, dtype=torch.float64)
    call("similarity", token, token.shape[:2].numel(), *token.shape[2:], floor, like)
    return like
