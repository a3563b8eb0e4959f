"""Find layers that never spike, and networks whose tokens all halt at once.

The loss stays finite in both cases, and neither stops a training. Both are named in the record, in MLflow, in the evaluations
and beside Table 1.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from models.backbone import backbone_of
from pipeline.evaluation.measure import Measurement


class Spikes:
    """A flag for each layer, whether any of its neurons has spiked; in the order of computing."""

    def __init__(self):
        self.has_spiked: dict[str, Tensor] = {}  # bool scalars

    def add(self, name: str, spikes: Tensor) -> None:
        """Raise a layer's flag if any of its spikes, a tensor of any shape, is not 0."""
        spiked = spikes.detach().any()
        self.has_spiked[name] = self.has_spiked[name] | spiked if name in self.has_spiked else spiked

    @property
    def silent(self) -> list[str]:
        """List the layers of which no neuron spiked for any image at any timestep."""
        return [name for name, spiked in self.has_spiked.items() if not spiked]


@contextmanager
def spikes_of(network: nn.Module) -> Iterator[Spikes]:
    """Watch the spikes of every neuron of a network within the block, at the taps that its backbone names.

    Layers on packed rows are not watched (`models.packed`). Networks without spikes have no layers here.
    """
    spikes, hooks = Spikes(), []

    def add_parts(names: tuple[str, ...], values: Tensor) -> None:
        for name, part in zip(names, values.chunk(len(names), dim=-1)):
            spikes.add(name, part)

    for names, layer, given in backbone_of(network).spike_taps():
        if given:
            hooks.append(layer.register_forward_pre_hook(lambda _, inputs, names=names: add_parts(names, inputs[0])))
        else:
            hooks.append(layer.register_forward_hook(lambda _, inputs, output, names=names: add_parts(names, output)))
    try:
        yield spikes
    finally:
        for hook in hooks:
            hook.remove()


def warnings(silent: list[str], measurement: Measurement) -> list[str]:
    """Write a warning for each silent layer, or, where no token is left after the first block, one for all later blocks."""
    if measurement.executed is None or len(measurement.executed) == 1 or measurement.executed[1:].any():
        return [f"{name} never spikes" for name in silent]
    before_second_block = [name for name in silent if not re.match(r"blocks\.[1-9]", name)]
    return [*(f"{name} never spikes" for name in before_second_block), "every token halts at the first block"]


@torch.no_grad()
def silent_layers(network: nn.Module, images: Tensor, arithmetic) -> list[str]:
    """List the layers that are silent on a batch of images [B, 3, S, S], in evaluation mode; the training mode is restored."""
    was_training = network.training
    network.eval()
    try:
        with spikes_of(network) as spikes, arithmetic():
            network(images)
    finally:
        network.train(was_training)
    return spikes.silent
