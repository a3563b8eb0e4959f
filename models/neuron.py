"""Define the spiking neuron with every setting explicit; the only module that imports SpikingJelly.

The plain PyTorch here is the reference, and runs in float64, on a GPU and without a compiler; elsewhere
`models.native.fused` computes the same. Dimensions: T timesteps, S timesteps that are given (T, or 1 for all), E channels;
`shape` anything.
"""

import torch
from jaxtyping import Bool, Float
from spikingjelly.activation_based import functional, surrogate
from torch import Tensor

from models import native
from models.native import fused
from models.norm_over_processes import Norm

TAU = 2.0  # membrane time constant in timesteps; Spikformer's published code
ALPHA = 4.0  # of the sigmoid whose derivative replaces the spike's in the backward pass
SURROGATE = surrogate.Sigmoid(alpha=ALPHA)


class Membranes:
    """State of every neuron, by layer, between calls that compute one timestep after another."""

    def __init__(self):
        self.state: dict[object, Tensor] = {}

    def of(self, layer: object, current: Float[Tensor, "B *shape"]) -> Float[Tensor, "B *shape"]:
        """Return a layer's membranes, shaped as its current at one timestep; 0 before the first timestep."""
        if layer not in self.state:
            self.state[layer] = torch.zeros_like(wide(current), memory_format=torch.contiguous_format)
        return self.state[layer]

    def keep(self, images: Bool[Tensor, " B"]) -> None:
        """Keep the membranes of the given images (a mask) and drop those of the others."""
        self.state = {layer: membrane[images] for layer, membrane in self.state.items()}


def lif(
    current: Float[Tensor, "T *shape"],
    threshold: float = 1.0,
    scale: float = 1.0,
    membrane: Float[Tensor, "*shape"] | None = None,
) -> Float[Tensor, "T *shape"]:
    """Run leaky integrate-and-fire neurons, x = scale * current: v <- v + (x - v)/2, spike where v >= threshold, hard reset to 0.

    The state starts at 0 and is dropped after the call, so nothing leaks from one batch into the next. To compute timesteps in
    several calls (without gradient), give `membrane`, in `wide`'s dtype: it is the start, and is set to the end. The state is
    float32 at least, whatever autocast chose for `current`; spikes (0 or 1) come back in the dtype of `current`.
    No gradient flows through the reset. Source: Zhou et al. 2022 (Spikformer) and its published settings, METHOD of the
    neuron in SpikingJelly (https://github.com/fangwei123456/spikingjelly).
    """
    if native.supports(current):
        return fused.lif(current, threshold, ALPHA, scale, membrane)
    charged = wide(current) * scale
    start = torch.zeros_like(charged[0]) if membrane is None else membrane
    spikes, end, _ = functional.lif_multi_step(
        charged, start, TAU, decay_input=True, v_threshold=threshold, v_reset=0.0, surrogate_function=SURROGATE, detach_reset=True
    )
    if membrane is not None:
        membrane.copy_(end)
    return spikes.to(current.dtype)


def norm_lif(
    current: Float[Tensor, "S *shape E"],
    bn: Norm,
    timesteps: int,
    live: Bool[Tensor, "T *shape"] | None = None,
    bias: Float[Tensor, " E"] | None = None,
    membrane: Float[Tensor, "*shape E"] | None = None,
) -> Float[Tensor, "T *shape E"]:
    """Compute LIF(BN(current + bias)) at threshold 1.

    Where the current is given once (S = 1) it is the same at all T, and BN sees T copies of it. A row that is not live
    receives zero current, so it stays silent and its membrane decays.
    """
    if native.supports(current):
        return fused.norm_lif(current, bn, timesteps, ALPHA, live=live, bias=bias, membrane=membrane)
    current = (current if bias is None else current + bias).expand(timesteps, *current.shape[1:])
    normalised = bn(current.flatten(0, -2)).unflatten(0, current.shape[:-1])
    return lif(normalised if live is None else torch.where(live[..., None], normalised, 0), membrane=membrane)


def wide(tensor: Tensor) -> Tensor:
    """Return the tensor in float32, or unchanged where it is wider: merged counts pass 256, which bfloat16 can't hold."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
