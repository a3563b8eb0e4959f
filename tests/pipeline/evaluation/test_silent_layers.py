"""Neurons that never spike are named, each by its layer, and a network whose tokens all halt at once is."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from models.at_snn import ATSNN
from models.spikformer import Spikformer
from models.spikingformer import Spikingformer
from models.vit import ViT
from pipeline.evaluation.measure import measure
from pipeline.evaluation.silent_layers import silent_layers, spikes_of, warnings

IMAGES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def network(kind=Spikformer):
    """One whose every neuron spikes: batch norm of a training batch, and a shift that lets it."""
    torch.manual_seed(0)
    made = kind(depth=2, width=16, heads=2, timesteps=2)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.constant_(module.bias, 3.0)
    return made


def silenced(made, norm):
    """A batch norm that gives a current below every threshold, to some of its channels where `norm` says which."""
    name, _, part = norm.partition("/")
    bn = made.get_submodule(name)
    with torch.no_grad():
        rows = slice(None) if not part else slice(*{"q": (0, 16), "k": (16, 32), "v": (32, 48)}[part])
        bn.weight[rows], bn.bias[rows] = 0, -5
    return made


@pytest.mark.parametrize("kind", (Spikformer, Spikingformer))
def test_nothing_is_silent_where_all_spike(kind):
    made = network(kind)
    with spikes_of(made) as spikes:
        made.eval()(IMAGES)
    assert spikes.silent == []
    in_block = {"attention.q", "attention.k", "attention.v", "attention", "mlp.hidden"}
    in_block |= {"attention.projection", "mlp.output"} if kind is Spikformer else {"attention.neuron", "mlp.neuron"}
    stages = {f"sps.stages.{i}" for i in range(4)} | ({"sps.position"} if kind is Spikformer else set())
    assert spikes.has_spiked.keys() == stages | {f"blocks.{i}.{name}" for i in range(2) for name in in_block}


@pytest.mark.parametrize(
    "norm, silent",
    (
        ("sps.stages.3.bn", ["sps.stages.3"]),
        ("sps.position.bn", ["sps.position"]),
        ("blocks.0.attention.qkv.bn/q", ["blocks.0.attention.q", "blocks.0.attention"]),
        ("blocks.1.attention.qkv.bn/v", ["blocks.1.attention.v", "blocks.1.attention"]),
        ("blocks.1.attention.projection.bn", ["blocks.1.attention.projection"]),
        ("blocks.0.mlp.hidden.bn", ["blocks.0.mlp.hidden"]),
        ("blocks.0.mlp.output.bn", ["blocks.0.mlp.output"]),
    ),
)
def test_a_layer_that_never_spikes_is_named_and_so_are_the_neurons_that_it_alone_drives(norm, silent):
    made = silenced(network(), norm)
    assert silent_layers(made, IMAGES, nullcontext) == silent
    assert made.training, "as it was"


def test_the_same_layers_are_named_of_at_snn():
    made = ATSNN(silenced(network(), "blocks.1.mlp.hidden.bn"), gamma=5, beta=-100.0)
    assert silent_layers(made, IMAGES, nullcontext) == ["blocks.1.mlp.hidden"]


def test_a_network_without_spikes_has_no_silent_layer():
    made = ViT(depth=1, width=16, heads=2)
    with spikes_of(made) as spikes:
        made.eval()(IMAGES)
    assert spikes.has_spiked == {}


@pytest.mark.parametrize("beta, said", ((-100.0, []), (100.0, ["every token halts at the first block"])))
def test_all_tokens_halted_at_the_first_block(beta, said):
    made = ATSNN(network(), gamma=0, beta=beta)
    told = measure(made, [(IMAGES, torch.zeros(4, dtype=torch.long))], device="cpu")
    assert warnings([], told) == said
    assert warnings(["head"], told) == ["head never spikes", *said]
    assert np.isfinite(told.logits).all()
