"""What leaves a network without part of itself while its loss stays sound: neurons that never spike, tokens that all halt at once.

Neither stops a training. Both are named in the record, in MLflow, in the evaluations and beside Table 1.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from models.backbone import backbone_of
from pipeline.evaluation.measure import Measurement


class Spikes:
    """Which neurons of a network have spiked, by the layer that they belong to, in the order of computing."""

    def __init__(self):
        self.heard: dict[str, Tensor] = {}

    def listen(self, name: str, spikes: Tensor) -> None:
        spiked = spikes.detach().any()
        self.heard[name] = self.heard[name] | spiked if name in self.heard else spiked

    @property
    def silent(self) -> list[str]:
        """The layers none of whose neurons spiked for any image at any timestep."""
        return [name for name, spiked in self.heard.items() if not spiked]


@contextmanager
def spikes_of(network: nn.Module) -> Iterator[Spikes]:
    """Listen to every neuron of a network within the block, where its backbone says that their spikes are read.

    A layer on packed rows is not heard (`models.packed`). Networks without spikes have none.
    """
    spikes, hooks = Spikes(), []

    def listen(names: tuple[str, ...], heard: Tensor) -> None:
        for name, part in zip(names, heard.chunk(len(names), dim=-1)):
            spikes.listen(name, part)

    for names, layer, given in backbone_of(network).spike_taps():
        if given:
            hooks.append(layer.register_forward_pre_hook(lambda _, inputs, names=names: listen(names, inputs[0])))
        else:
            hooks.append(layer.register_forward_hook(lambda _, inputs, output, names=names: listen(names, output)))
    try:
        yield spikes
    finally:
        for hook in hooks:
            hook.remove()


def warnings(silent: list[str], measured: Measurement) -> list[str]:
    """In words: which layers were silent, and whether no token was left after the first block, which silences the others."""
    if measured.executed is None or len(measured.executed) == 1 or measured.executed[1:].any():
        return [f"{name} never spikes" for name in silent]
    first = [name for name in silent if not re.match(r"blocks\.[1-9]", name)]
    return [*(f"{name} never spikes" for name in first), "every token halts at the first block"]


@torch.no_grad()
def silent_layers(network: nn.Module, images: Tensor, arithmetic) -> list[str]:
    """The layers that are silent on a batch of images [B, 3, S, S], in evaluation mode; the training mode is restored."""
    was_training = network.training
    network.eval()
    try:
        with spikes_of(network) as spikes, arithmetic():
            network(images)
    finally:
        network.train(was_training)
    return spikes.silent
