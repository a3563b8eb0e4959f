"""Define the base class of a backbone's network: its output, and which of its layers multiply and which spike.

Dimensions: T timesteps, B batch, S image size, K tokens, D channels, C classes.
"""
# Tested in tests/test_contracts.py

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.energy_taps import EnergyTap

BN_ROWS = ("all", "live")  # which rows batch norm sees in training, once tokens halt


class BackboneOutput(NamedTuple):
    """Logits of every timestep."""

    logits: Float[Tensor, "T B C"]


class SpikeTap(NamedTuple):
    """Place where the spikes of some neurons are read: the output of `layer` or, with `given`, its first argument.

    names: the layers that these neurons belong to, one per equal part of the last axis, in the order of the axis.
    """

    names: tuple[str, ...]
    layer: nn.Module
    given: bool = False


class Backbone(nn.Module):
    """A network from images [B, 3, S, S] to an output with `logits` [T, B, C]; `timesteps` may be changed at any time."""

    timesteps: int
    added_parameters: tuple[str, ...] = ()  # names of parameters that are only added to something, never multiplied by

    def energy_taps(self) -> list[EnergyTap]:
        """List the multiplications of a pass, in network order (`models.energy_taps`); every layer with weights must be named."""
        raise NotImplementedError(f"{type(self).__name__} does not say which of its layers multiply: give it energy_taps()")

    def spike_taps(self) -> Iterator[SpikeTap]:
        """Yield where the spikes of each neuron are read, to find layers that never spike; nothing without spikes."""
        return iter(())


class TokenBackbone(Backbone):
    """A backbone that computes tokens in `blocks`: embed, the blocks one after another, the mean over tokens, and `head`."""

    blocks: nn.ModuleList
    head: nn.Module

    def forward(self, image: Float[Tensor, "B 3 S S"]) -> BackboneOutput:
        u = self.embed(image)
        for block in self.blocks:
            u = block(u)
        return BackboneOutput(self.classify(u.mean(dim=2)))

    def embed(self, image: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "T B K D"]:
        """Compute the tokens that the first block reads, in row-major order, in float32 at least."""
        raise NotImplementedError(f"{type(self).__name__} does not say how an image becomes tokens: give it embed(image)")

    def classify(self, feature: Float[Tensor, "T B D"]) -> Float[Tensor, "T B C"]:
        """Compute the head, FC of Eq. 1, outside autocast: eight bits of a bfloat16 logit would tie predictions."""
        with torch.autocast(feature.device.type, enabled=False):
            return self.head(feature)


def backbone_of(network: nn.Module) -> nn.Module:
    """Return the backbone that a method runs in a network of its own (AT-SNN), or the network itself."""
    return getattr(network, "backbone", network)
