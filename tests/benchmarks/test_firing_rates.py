"""The bench's networks fire, layer by layer, as the published campaign's do: ours, AT-SNN's and SpikingJelly's, in both modes."""

import pandas as pd
import pytest
import torch
from benchmarks import firing_rates, jobs
from benchmarks.conftest import RATE_TOLERANCE, off_the_published

from models.at_snn import ATSNN
from models.neuron import lif

SMALL = {"depth": 2, "width": 48, "heads": 4, "timesteps": 4}
IMAGES = torch.randn(24, 3, 32, 32, generator=torch.Generator().manual_seed(3))  # others than those it was settled on


def spikingjelly():
    return jobs.spikingjelly(SMALL)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("build,measure", [
    (lambda: firing_rates.settled(**SMALL), firing_rates.rates_of),
    (spikingjelly, firing_rates.rates_of_spikingjelly),
], ids=["ours", "SpikingJelly's"])  # fmt: skip
def test_every_layer_fires_at_the_published_rate(build, measure, training):
    rates = measure(build().train(training), IMAGES)
    assert {"0 conv2", "0 conv3", "0 conv4", "0 position", "1 qkv", "2 projection", "2 hidden", "2 output"} <= rates.keys()
    assert off_the_published(rates) < RATE_TOLERANCE
    drawn = firing_rates.rates_of(jobs.Spikformer(**SMALL), IMAGES)
    assert off_the_published(drawn) > 4 * RATE_TOLERANCE, "weights as they are drawn don't"


def test_both_have_the_same_weights_and_at_snn_the_same_rates_before_it_merges():
    ours, theirs = firing_rates.settled(**SMALL), spikingjelly()
    assert torch.equal(ours.blocks[1].mlp.hidden.linear.weight, theirs.blocks[1].mlp.fc1[0].weight[..., 0])
    static, merged = (firing_rates.rates_of(network.eval(), IMAGES) for network in (ours, ATSNN(ours, gamma=25)))
    assert {name: static[name] for name in static if name[0] == "0"}.items() <= merged.items()
    assert merged["1 qkv"] > static["1 qkv"], "a sum of two tokens has more elements that are not zero"


def test_the_published_rates_are_those_of_the_table():
    rows = pd.read_csv(firing_rates.PUBLISHED).query(
        "evaluation == @firing_rates.EVALUATION and block == 3 and layer == 'output'"
    )
    assert firing_rates.published_rates()[3, "output"] == rows.rate.item()


def test_the_bias_that_is_found_gives_the_rate():
    current, bias = torch.randn(4, 1000, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(8)
    spikes = firing_rates.fire(current, bias, 0.1)
    assert spikes.mean().item() == pytest.approx(0.1, abs=1e-3) and torch.equal(spikes, lif(current + bias))
