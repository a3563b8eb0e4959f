"""Where a computation that is not finite began is named, though neurons hide it."""

import torch
from torch import nn

from pipeline.training.not_finite import first_not_finite, lost_weights


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))


def test_the_first_layer_whose_output_is_not_finite_is_named_and_whether_its_weights_are():
    model = network()
    said = first_not_finite(model, lambda: model(torch.tensor([float("inf"), 1.0])))
    assert said.startswith("first in layer 0") and "weights" not in said
    with torch.no_grad():
        model[2].weight[0, 0] = float("nan")
    said = first_not_finite(model, lambda: model(torch.ones(2)))
    assert said == "first in layer 2, whose weights are not finite: a gradient was lost in the step before"
    assert first_not_finite(network(), lambda: None) == "the loss alone: every layer's output is finite"


def test_the_last_weight_that_was_lost_is_named():
    model = network()
    assert lost_weights(model) == ""
    with torch.no_grad():
        model[0].bias[1] = float("inf")
    assert lost_weights(model) == "0.bias"
