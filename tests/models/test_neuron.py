import torch
from spikingjelly.activation_based import neuron, surrogate

from models.neuron import lif


def test_charges_halfway_spikes_at_the_threshold_and_resets_to_zero():
    current = torch.tensor([1.0, 1.5, 0.8, 2.0]).double()
    # v: 0.5 | 0.5 + (1.5 - 0.5)/2 = 1.0 spikes, back to 0 | 0.4 | 0.4 + 1.6/2 = 1.2 spikes
    assert lif(current).tolist() == [0, 1, 0, 1]
    assert lif(current, 0.5).tolist() == [1, 1, 0, 1]


def test_equals_spikingjellys_module_with_the_published_settings():
    current = torch.randn(5, 3, 7, generator=torch.Generator().manual_seed(0))
    node = neuron.LIFNode(
        tau=2.0, v_threshold=1.0, v_reset=0.0, surrogate_function=surrogate.Sigmoid(4.0), detach_reset=True, step_mode="m"
    )
    assert torch.equal(lif(3 * current), node(3 * current))


def test_gradient_is_the_sigmoids_of_slope_four_and_does_not_pass_the_reset():
    current = torch.tensor([2.5, 0.6]).double().requires_grad_()
    spikes = lif(current)  # v: 1.25 spikes and resets, then 0.3
    spikes.sum().backward()
    slope = lambda v: 4 * torch.sigmoid(torch.tensor(4.0 * (v - 1))) * (1 - torch.sigmoid(torch.tensor(4.0 * (v - 1))))  # noqa: E731
    assert spikes.tolist() == [1, 0]
    # With the reset detached the first current reaches the second step through v (1 - s) = 0 only: not at all.
    torch.testing.assert_close(current.grad, torch.stack([slope(1.25), slope(0.3)]).double() / 2, rtol=1e-6, atol=0)


def test_state_ends_with_the_call():
    current = torch.full((3, 4), 0.9)
    assert torch.equal(lif(current), lif(current))


def test_charges_in_float32_whatever_the_currents_dtype():
    current = torch.full((12, 1), 0.99609375, dtype=torch.bfloat16)
    v = torch.zeros(1, dtype=torch.bfloat16)
    for x in current:
        v = v + (x - v) / 2
    assert v.item() == 0.9921875  # eight bits stop here; in float32 the ninth step reaches 0.9941
    assert lif(current, 0.994).dtype == torch.bfloat16 and lif(current, 0.994).sum() == 1


def test_double_stays_double():
    assert lif(torch.ones(2, 3).double()).dtype == torch.float64
