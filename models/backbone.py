"""The contract of a backbone's network: what it returns, which of its layers multiply and which spike.

Dimensions: T timesteps, B batch, S image size, C classes.
"""

from collections.abc import Iterator
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from models.energy_taps import EnergyTap

BN_ROWS = ("all", "live")  # which rows batch norm sees in training, once tokens halt


class BackboneOutput(NamedTuple):
    logits: Float[Tensor, "T B C"]


class SpikeTap(NamedTuple):
    """Where the spikes of some neurons can be read: in what `layer` returns or, with `given`, in its first argument.

    names: of the layers that these neurons belong to, one per equal part of the last axis, in the order of the axis.
    """

    names: tuple[str, ...]
    layer: nn.Module
    given: bool = False


class Backbone(nn.Module):
    """A network of images [B, 3, S, S], which returns what has `logits` [T, B, C]; `timesteps` may be changed at any time."""

    timesteps: int
    added_parameters: tuple[
        str, ...
    ] = ()  # names of parameters that are only added to something, so that no pass multiplies by them

    def energy_taps(self) -> list[EnergyTap]:
        """List what a pass multiplies, in network order; every layer with weights is named by one (`models.energy_taps`)."""
        raise NotImplementedError(f"{type(self).__name__} does not say which of its layers multiply: give it energy_taps()")

    def spike_taps(self) -> Iterator[SpikeTap]:
        """Yield where the spikes of each neuron are read, so that one that never spikes is found; nothing without spikes."""
        return iter(())


def backbone_of(network: nn.Module) -> nn.Module:
    """Return the backbone that a method runs in a network of its own (AT-SNN), or the network itself."""
    return getattr(network, "backbone", network)
