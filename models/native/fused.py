"""Compute norm and neuron, pooling and attention with compiled kernels, each in one pass over memory, forward and backward.

They give the numbers of the plain code in models/neuron.py, models/spiking_layers.py and models/merging.py up to the order of
sums, and keep less memory for the gradient: only the current before the norm, in the dtype it was computed in.

Dimensions: T timesteps, S timesteps that are given (T, or 1 for all), N rows of neurons (images x positions), E channels,
R live rows, D channels of a token, B images, K tokens, I even and J odd ones among them.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from models.native.build import call
from models.native.counts import Counts
from models.norm_over_processes import Norm, sum_over_processes


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
    """Compute `models.neuron.norm_lif`. In training the gradient of the bias is 0, since the norm subtracts the mean.

    Raises ValueError for a single row in training: it has no variance.
    """
    y = y.contiguous()  # as kernels read it
    scale, shift, mean, inverse_deviation = affine(y, bn, timesteps, bias)
    index = None if live is None else live_rows(live)
    flat = y.flatten(1, -2)
    if membrane is not None:
        spikes = fire(flat, index, scale, shift, 1.0, timesteps, membrane)
    else:
        settings = (index, timesteps, 1.0, alpha, bn if bn.training else None)
        spikes = AffineLIF.apply(flat, bias, bn.weight, bn.bias, scale, shift, mean, inverse_deviation, *settings)
    return spikes.unflatten(1, y.shape[1:-1])


def lif(
    current: Float[Tensor, "T *shape"],
    threshold: float,
    alpha: float,
    scale: float = 1.0,
    membrane: Float[Tensor, "*shape"] | None = None,
) -> Float[Tensor, "T *shape"]:
    """Compute `models.neuron.lif`."""
    y = current.contiguous().reshape(len(current), -1, current.shape[-1] if current.ndim > 1 else 1)
    factor = torch.full(y.shape[-1:], scale, dtype=torch.promote_types(y.dtype, torch.float32))
    zeros = torch.zeros_like(factor)
    if membrane is not None:
        return fire(y, None, factor, zeros, threshold, len(y), membrane).view(current.shape)
    settings = (None, len(y), threshold, alpha, None)
    return AffineLIF.apply(y, None, zeros, zeros, factor, zeros, zeros, zeros, *settings).view(current.shape)


def live_rows(live: Bool[Tensor, "T *shape"]) -> Int[Tensor, "T N"]:
    """Number all rows of neurons: index i where a row is live, ~i, which is negative, where it is not."""
    index = torch.arange(live.numel()).view(len(live), -1)
    return torch.where(live.flatten(1), index, ~index)


@torch.no_grad()
def affine(
    y: Float[Tensor, "*rows E"], bn: Norm, timesteps: int = 1, bias: Float[Tensor, " E"] | None = None
) -> tuple[Float[Tensor, " E"], ...]:
    """Express the norm of y + bias as scale and shift of y. Returns scale, shift, mean and 1 / deviation, [E] each.

    In training the mean and deviation are those of y (over T copies where it is given once), and the running statistics are
    updated. Raises ValueError for a single row in training.
    """
    wide = torch.promote_types(y.dtype, torch.float32)
    offset = 0 if bias is None else bias
    if bn.training:
        mean, variance, rows = moments(y, bn)
        count = rows * (timesteps // len(y))
        if count < 2:
            raise ValueError("one row has no variance: batch norm in training needs more images, tokens or timesteps")
        bn.running_mean.lerp_((mean + offset).to(bn.running_mean), bn.momentum)
        bn.running_var.lerp_((variance * (count / (count - 1))).to(bn.running_var), bn.momentum)
        bn.num_batches_tracked += 1
    else:
        mean, variance = bn.running_mean.double() - offset, bn.running_var.double()
    inverse_deviation = (variance + bn.eps).rsqrt()
    scale = bn.weight * inverse_deviation
    return tuple(x.to(wide).contiguous() for x in (scale, bn.bias - mean * scale, mean, inverse_deviation))


def moments(y: Float[Tensor, "*rows E"], bn: Norm) -> tuple[Float[Tensor, " E"], Float[Tensor, " E"], int]:
    """Compute mean and biased variance of each channel, in float64, and number of rows, over all processes with the norm."""
    channels, rows = y.shape[-1], y.numel() // y.shape[-1]
    sums = torch.empty(2, channels, dtype=torch.float64)
    call("moments", y, rows, channels, sums)
    sums, rows = sum_over_processes(bn, sums, rows)
    mean, square = sums / rows
    return mean, (square - mean.square()).clamp_min(0), rows


def fire(
    y: Float[Tensor, "S N E"] | Float[Tensor, "R E"],
    index: Int[Tensor, "T N"] | None,
    scale: Float[Tensor, " E"],
    shift: Float[Tensor, " E"],
    threshold: float,
    timesteps: int,
    membrane: Float[Tensor, "*shape E"] | None = None,
) -> Float[Tensor, "T N E"] | Float[Tensor, "R E"]:
    """Compute LIF(scale * y + shift) of all rows, or of those that `index` names; it is negative where a row is not live."""
    packed, channels = y.ndim == 2, y.shape[-1]
    neurons = y.shape[1] if index is None else index.shape[1]
    shape = y.shape if packed else (timesteps, *y.shape[1:])
    spikes = (torch.zeros if index is not None and not packed else torch.empty)(shape, dtype=y.dtype)
    sizes = (timesteps, neurons, channels, int(not packed and len(y) < timesteps))
    call("lif_forward", y, index, scale, shift, threshold, *sizes, membrane, spikes)
    return spikes


class AffineLIF(Function):
    """LIF(scale * y + shift), with the gradients of y, the layer's bias, and the norm's weight and bias.

    scale and shift follow from the norm's weight and bias and from mean and deviation. norm: the batch norm where mean and
    deviation are the moments of y (in training), so that the gradient flows through them too; None where they are constants.
    """

    @staticmethod
    def forward(
        ctx, y, layer_bias, weight, bias, scale, shift, mean, inverse_deviation, index, timesteps, threshold, alpha, norm
    ):
        ctx.save_for_backward(y, scale, shift, mean, inverse_deviation, index)
        ctx.settings = timesteps, threshold, alpha, norm, layer_bias is not None
        return fire(y, index, scale, shift, threshold, timesteps)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        y, scale, shift, mean, inverse_deviation, index = ctx.saved_tensors
        timesteps, threshold, alpha, norm, has_layer_bias = ctx.settings
        given_timesteps, neurons, channels = y.shape
        gradient = torch.empty_like(y) if index is None else torch.zeros_like(y)
        channel_sums = torch.empty(2, channels, dtype=torch.float64)
        sizes = (timesteps, neurons, channels, int(given_timesteps < timesteps))
        vectors = scale, shift, mean, inverse_deviation
        call("lif_backward", y, index, *vectors, grad_output.contiguous(), threshold, alpha, *sizes, gradient, channel_sums)
        total, product = channel_sums
        if norm is not None:
            y_rows = given_timesteps * neurons  # where T steps share a row, they share its gradient: T / (T rows) of the sums
            (all_total, all_product), rows = sum_over_processes(norm, channel_sums, y_rows)
            factor = scale * inverse_deviation * all_product / rows
            constant = scale * all_total / rows - factor * mean
            call("norm_backward", y, y_rows, channels, constant.to(scale), factor.to(scale), gradient)
        layer_bias_gradient = (scale * total * (norm is None)).to(scale) if has_layer_bias else None
        return gradient, layer_bias_gradient, product.to(scale), total.to(scale), *(None,) * 9


class MaxPool(Function):
    """Max pooling, 3x3, stride 2, padding 1, of frames [F, H, W, E]; the gradient goes to the first maximum of each window."""

    @staticmethod
    def forward(ctx, x):
        frames, height, width, channels = x.shape
        pooled = x.new_empty(frames, (height + 1) // 2, (width + 1) // 2, channels)
        window_index = torch.empty(pooled.shape, dtype=torch.uint8)
        call("pool_forward", x, *x.shape, pooled, window_index)
        ctx.save_for_backward(window_index)
        ctx.shape = x.shape
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        (window_index,) = ctx.saved_tensors
        gradient = grad_output.new_empty(ctx.shape)
        call("pool_backward", grad_output.contiguous(), window_index, *ctx.shape, gradient)
        return gradient


class Attention(Function):
    """Attention q (k^T v) within each segment of rows and each head: qkv [R, 3 D], `start` [segments + 1] -> [R, D]."""

    @staticmethod
    def forward(ctx, qkv, start, heads):
        attended = qkv.new_empty(len(qkv), qkv.shape[1] // 3)
        ctx.counts = Counts.of(qkv) if ctx.needs_input_grad[0] else None
        ctx.save_for_backward(qkv if ctx.counts is None else None, start)
        ctx.shape, ctx.dtype = qkv.shape, qkv.dtype
        ctx.sizes = (len(start) - 1, heads, attended.shape[1] // heads)
        call("attention_forward", qkv, start, *ctx.sizes, attended)
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        qkv, start = ctx.saved_tensors
        qkv = qkv if ctx.counts is None else ctx.counts.to(ctx.dtype, ctx.shape)
        gradient = torch.empty_like(qkv)
        call("attention_backward", qkv, grad_output.contiguous(), start, *ctx.sizes, gradient)
        return gradient, None, None


def similarity(token: Float[Tensor, "T B K D"], floor: float) -> Float[Tensor, "T B I J"]:
    """Compute `models.merging.similarity` of even and odd tokens: in float32 where that is exact, else in float64."""
    token = token.detach().contiguous()
    similarities = torch.empty(*token.shape[:2], (token.shape[2] + 1) // 2, token.shape[2] // 2, dtype=torch.float64)
    call("similarity", token, token.shape[:2].numel(), *token.shape[2:], floor, similarities)
    return similarities
