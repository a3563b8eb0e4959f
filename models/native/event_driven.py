"""Compute linear layers and 3x3 convolutions of spikes, each dense or event-driven: in time that follows the inputs that are not 0.

`models.native.thresholds` says which, from the inputs of the call. For the gradient of the weights either keeps the inputs as bytes,
not as floats. The gradient of the inputs is dense: that of a spike's current is never 0.
Dimensions: `shape` anything, D inputs, E outputs, H W height and width.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from models.native import thresholds
from models.native.build import call
from models.native.counts import Counts

CONVOLUTION = {
    "stride": (1, 1),
    "padding": (1, 1),
    "dilation": (1, 1),
    "transposed": False,
    "output_padding": (0, 0),
    "groups": 1,
}


def linear(x: Float[Tensor, "*shape D"], weight: Float[Tensor, "E D"], path: str | None = None) -> Float[Tensor, "*shape E"]:
    """Compute x weight^T, dense or event-driven as the inputs are or as `path` says (`thresholds.PATHS`).

    Under autocast in its dtype, else in that of x. Inputs that are no counts from 0 to 255 are always computed dense.
    """
    return Product.apply(x.contiguous(), in_compute_dtype(weight, x), path)


def convolve(
    x: Float[Tensor, "*shape H W D"], weight: Float[Tensor, "E D 3 3"], path: str | None = None
) -> Float[Tensor, "*shape H W E"]:
    """Compute a 3x3 convolution, stride 1, padding 1, of channels-last maps; the rest is as in `linear`."""
    return Product.apply(x.contiguous(), in_compute_dtype(weight, x), path)


def in_compute_dtype(weight: Tensor, x: Tensor) -> Tensor:
    """Return the weight in the dtype that autocast asks for, or in that of x."""
    return weight.to(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype)


class Product(Function):
    """x [*shape, D] times weight [E, D], or its convolution [*shape, H, W, D] with weight [E, D, 3, 3]."""

    @staticmethod
    def forward(ctx, x, weight, path):
        counts = Counts.of(x)
        positions = x.shape[:-1].numel()
        event_driven = thresholds.is_event_driven(counts and counts.share, positions, weight, path)
        ctx.shape, ctx.dtype, ctx.path = x.shape, x.dtype, path
        ctx.share, ctx.largest = (counts.share, counts.largest) if counts else (None, 0)
        ctx.save_for_backward(counts.bytes if counts else x, weight)
        if not event_driven:
            return dense(x, weight)
        y = weight.new_empty(*x.shape[:-1], len(weight))
        call("event_forward", weight.contiguous(), counts.bytes, *sizes(x.shape, weight), int(counts.largest <= 1), y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        kept, weight = ctx.saved_tensors
        grad_output = grad_output.contiguous()
        gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            gradient = dense_input_gradient(grad_output, weight, ctx.shape).to(ctx.dtype)
        if ctx.needs_input_grad[1]:
            if thresholds.is_event_driven(ctx.share, ctx.shape[:-1].numel(), weight, ctx.path, gradient=True):
                weight_gradient = torch.empty_like(weight, memory_format=torch.contiguous_format)
                layer = *sizes(ctx.shape, weight), int(ctx.largest <= 1)
                call("event_weight_gradient", grad_output, kept, *layer, weight_gradient)
            else:
                x = kept if ctx.share is None else Counts(kept, ctx.share, ctx.largest).to(weight.dtype, ctx.shape)
                weight_gradient = dense_weight_gradient(grad_output, x.to(weight.dtype), weight)
        return gradient, weight_gradient, None


def sizes(shape: torch.Size, weight: Tensor) -> tuple[int, ...]:
    """Give frames, H, W, D, E and the kernel's side as kernels take them: rows of a linear layer are one line of one frame."""
    *leading, inputs = shape
    if weight.ndim == 2:
        return 1, 1, torch.Size(leading).numel(), inputs, len(weight), 1
    return torch.Size(leading[:-2]).numel(), *leading[-2:], inputs, len(weight), weight.shape[-1]


def dense(x: Tensor, weight: Tensor) -> Tensor:
    """Compute the product or convolution with PyTorch."""
    if weight.ndim == 2:
        return F.linear(x.to(weight.dtype), weight)
    frames = channels_first(x.to(weight.dtype))
    return F.conv2d(frames, weight, padding=1).permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))


def dense_input_gradient(grad_output: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
    """Compute the gradient of the inputs, of `shape`, with PyTorch."""
    if weight.ndim == 2:
        return grad_output @ weight
    frames = channels_first(grad_output)
    x = channels_first(weight.new_empty(shape))  # only its shape and layout count
    gradient = torch.ops.aten.convolution_backward(frames, x, weight, None, *CONVOLUTION.values(), (True, False, False))[0]
    return gradient.permute(0, 2, 3, 1).reshape(shape)


def dense_weight_gradient(grad_output: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Compute the gradient of the weights with PyTorch."""
    if weight.ndim == 2:
        return grad_output.flatten(0, -2).T @ x.flatten(0, -2)
    frames = channels_first(grad_output), channels_first(x)
    return torch.ops.aten.convolution_backward(*frames, weight, None, *CONVOLUTION.values(), (False, True, False))[1]


def channels_first(x: Float[Tensor, "*shape H W D"]) -> Float[Tensor, "frames D H W"]:
    """Return the frames as PyTorch's convolutions take them, a view."""
    return x.flatten(0, -4).permute(0, 3, 1, 2)
