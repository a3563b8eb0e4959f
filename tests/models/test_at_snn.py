"""AT-SNN against the independent implementation in tests/reference.py, in float64."""

import itertools

import pytest
import torch
from reference import random_official_state_dict, reference_at_snn, reference_spikformer

from models.at_snn import ATSNN
from models.convert import from_official_spikformer

SETTINGS = list(itertools.product((0, 5, 25), ("2d", "1d"), ("inclusive", "printed", "example")))


def images(count=2, size=32, seed=0):
    return torch.randn(count, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def compare(state, image, heads=4, timesteps=4, **options):
    backbone = from_official_spikformer(state, heads=heads, timesteps=timesteps, image_size=image.shape[-1])
    with torch.no_grad():
        ours = ATSNN(backbone, **options).eval()(image)
    theirs = reference_at_snn(state, image, heads=heads, timesteps=timesteps, **options)
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=0, atol=1e-9)
    assert abs(ours.ponder_loss.item() - float(theirs.ponder_loss)) < 1e-9
    for name in ("executed", "halt_block", "survivors"):
        assert torch.equal(getattr(ours.trace, name), getattr(theirs.trace, name)), name
    for name in ("remainder", "probability"):
        torch.testing.assert_close(getattr(ours.trace, name), getattr(theirs.trace, name), rtol=0, atol=1e-9)
    return ours


@pytest.mark.parametrize("gamma, axes, reading", SETTINGS)
def test_equals_the_independent_implementation(gamma, axes, reading):
    state = random_official_state_dict(depth=4, width=24, classes=7, seed=3, blockwise_gain=1.0)
    ours = compare(state, images(), gamma=gamma, axes=axes, reading=reading)
    share = ours.trace.executed.double().mean(dim=(1, 2, 3))
    assert share[-1] < share[0], "halting and merging must have removed something for this to mean anything"


@pytest.mark.parametrize("partner, head_norm, gamma", list(itertools.product(("per_timestep", "fixed"), ("tokens", "initial"), (3, 32))))
def test_every_option_equals_the_independent_implementation(partner, head_norm, gamma):
    state = random_official_state_dict(depth=3, width=48, classes=5, seed=4)
    compare(state, images(3, seed=1), heads=12, gamma=gamma, partner=partner, head_norm=head_norm, axes="1d", epsilon=0.1)


def test_large_images_and_another_number_of_timesteps():
    state = random_official_state_dict(depth=2, width=24, classes=5, seed=5)
    compare(state, images(1, size=64), timesteps=3, gamma=7)


def test_many_exact_ties_go_to_the_lower_index():
    """A constant image gives tokens that are equal to the last bit wherever the border does not reach."""
    state = random_official_state_dict(depth=3, width=24, classes=5, seed=6)
    compare(state, torch.full((2, 3, 32, 32), 0.3, dtype=torch.float64), gamma=10)


@pytest.mark.parametrize("seed", range(6))
def test_everything_halts_early(seed):
    state = random_official_state_dict(depth=4, width=24, classes=5, seed=seed, blockwise_gain=6.0)
    compare(state, images(2, seed=seed), gamma=32, axes="1d", partner="fixed")


def test_without_scores_and_merging_it_is_spikformer():
    state = random_official_state_dict(depth=3, width=24, classes=5, seed=7)
    backbone = from_official_spikformer(state, heads=4)
    with torch.no_grad():
        plain, adaptive = backbone(images()), ATSNN(backbone, gamma=0, alpha=0.0, beta=-200.0)(images())
    torch.testing.assert_close(adaptive.logits, plain.logits, rtol=0, atol=1e-9)
    torch.testing.assert_close(plain.logits, reference_spikformer(state, images(), heads=4, timesteps=4), rtol=0, atol=1e-9)
