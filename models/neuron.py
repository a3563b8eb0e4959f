"""The spiking neuron, every setting explicit: the one place that touches SpikingJelly.

Dimensions: T timesteps; `...` anything.
"""

import torch
from jaxtyping import Float
from spikingjelly.activation_based import functional, surrogate
from torch import Tensor

TAU = 2.0  # membrane time constant in timesteps; Spikformer's published code
SURROGATE = surrogate.Sigmoid(alpha=4.0)  # derivative of the spike in the backward pass


def lif(current: Float[Tensor, "T *shape"], threshold: float = 1.0) -> Float[Tensor, "T *shape"]:
    """Leaky integrate-and-fire over all timesteps: v <- v + (x - v)/2, a spike where v >= threshold, hard reset to 0.

    The state starts at 0 and ends with the call, so nothing leaks from one batch into the next. The membrane is charged
    in float32 at least, whatever autocast chose for `current`; spikes (0 or 1) come back in the dtype of `current`.
    No gradient flows through the reset. Source: Zhou et al. 2022 (Spikformer) and its published settings, METHOD of the
    neuron in SpikingJelly (https://github.com/fangwei123456/spikingjelly).
    """
    charged = wide(current)
    rest = torch.zeros_like(charged[0])
    spikes, _, _ = functional.lif_multi_step(
        charged, rest, TAU, decay_input=True, v_threshold=threshold, v_reset=0.0, surrogate_function=SURROGATE, detach_reset=True
    )
    return spikes.to(current.dtype)


def wide(tensor: Tensor) -> Tensor:
    """The tensor in float32, or unchanged where it is wider: merged counts pass 256, which bfloat16 can't hold."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
