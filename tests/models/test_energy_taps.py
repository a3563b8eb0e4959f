"""What drives a layer, counted by hand."""

import pytest
import torch
from torch import nn

from models.energy_taps import COUNTS, conv_tap, drive, linear_tap
from models.spiking_layers import NormConv, NormLinear


def test_inputs_spikes_and_operations_are_those_of_live_tokens():
    x = torch.tensor([[[[1.0, 0.0], [2.0, 3.0], [0.0, 0.0]]]])  # [T = 1, B = 1, R = 3, D = 2]
    live = torch.tensor([[[True, True, False]]])
    counted = drive(x, 10, live)
    assert (counted.tokens.item(), counted.inputs.item(), counted.nonzero.item(), counted.total.item()) == (2, 4, 3, 6)
    assert counted.operations.item() == 4 * 10
    assert drive(x, 10).inputs.item() == 6 and drive(x, 10, timesteps=4).operations.shape == (4, 1)


def test_a_linear_layer_uses_each_input_once_per_output_and_a_convolution_once_per_place_of_its_kernel():
    tap = linear_tap("mlp", 1, "hidden", NormLinear(2, 5), COUNTS)
    assert tap.read({"x": torch.ones(1, 1, 3, 2)}, None).operations.item() == 3 * 2 * 5
    tap = conv_tap("conv1", NormConv(2, 7), COUNTS)
    assert tap.read({"x": torch.ones(1, 1, 4, 4, 2)}, None).operations.item() == 4 * 4 * 2 * 9 * 7


@pytest.mark.parametrize("change", ({"stride": 2}, {"groups": 2}))
def test_a_convolution_whose_inputs_are_not_used_equally_often_is_refused(change):
    layer = NormConv(2, 4)
    layer.conv = nn.Conv2d(2, 4, kernel_size=3, padding=1, bias=False, **change)
    with pytest.raises(ValueError, match="stride 1 without groups.*write a tap for it"):
        conv_tap("conv1", layer, COUNTS)
