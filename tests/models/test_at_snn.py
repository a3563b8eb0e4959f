"""AT-SNN against the independent implementation in tests/reference.py, in float64."""

import itertools

import pytest
import torch
from reference import random_official_state_dict, reference_at_snn, reference_spikformer

from models.at_snn import ATSNN, overall_loss
from models.convert import from_official_spikformer
from models.spikformer import Spikformer

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
    check_merge_block(ours.trace)
    return ours


def check_merge_block(trace):
    """Each block takes away as many tokens as K^l fell by, computes none of them from there on, and leaves the survivors."""
    images, tokens = trace.merge_block.shape
    for image in range(images):
        assert (trace.merge_block[image] == 0).nonzero().flatten().tolist() == trace.survivors[image].tolist()
        for block, (before, after) in enumerate(zip((tokens, *trace.tokens), trace.tokens), start=1):
            gone = trace.merge_block[image] == block
            assert gone.sum() == before - after and not trace.executed[block - 1 :, :, image, gone].any()


@pytest.mark.parametrize("gamma, axes, reading", SETTINGS)
def test_equals_the_independent_implementation(gamma, axes, reading):
    state = random_official_state_dict(depth=4, width=24, classes=7, seed=3, blockwise_gain=1.0)
    ours = compare(state, images(), gamma=gamma, axes=axes, reading=reading)
    share = ours.trace.executed.double().mean(dim=(1, 2, 3))
    assert share[-1] < share[0], "halting and merging must have removed something for this to mean anything"


@pytest.mark.parametrize(
    "partner, head_norm, gamma", list(itertools.product(("per_timestep", "fixed"), ("tokens", "initial"), (3, 32)))
)
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


def converted(seed=3, depth=4, **change):
    state = random_official_state_dict(depth=depth, width=24, classes=7, seed=seed, **change)
    return from_official_spikformer(state, heads=4)


@pytest.mark.parametrize(
    "gamma, depth, ratio", ((25, 4, 0.2891), (32, 4, 0.2344), (5, 4, 0.8047), (10, 4, 0.6094), (3, 8, 0.7891), (5, 8, 0.6484))
)
def test_average_tokens_are_the_methods_when_nothing_halts(gamma, depth, ratio):
    with torch.no_grad():
        trace = ATSNN(converted(depth=depth), gamma=gamma, alpha=0.0, beta=-200.0)(images(1)).trace
    assert round(trace.executed.double().mean().item(), 4) == ratio


def test_probabilities_of_a_token_sum_to_one_at_the_first_timestep_and_to_at_most_one_later():
    with torch.no_grad():
        trace = ATSNN(converted(blockwise_gain=2.0), gamma=0)(images()).trace
    sums = trace.probability.sum(0)
    torch.testing.assert_close(sums[0], torch.ones_like(sums[0]))
    assert (sums <= 1 + 1e-12).all()


def test_a_token_closed_in_a_block_stays_closed_in_it_at_every_later_timestep():
    with torch.no_grad():
        halted = ATSNN(converted(blockwise_gain=1.0), gamma=0)(images()).trace.halt_block
    assert (halted[1:] <= halted[:-1]).all() and halted.unique().numel() > 1


def test_a_halted_token_computes_nothing_and_stays_zero():
    backbone = converted(blockwise_gain=2.0)
    seen = []
    hooks = [block.register_forward_hook(lambda _, inputs, output: seen.append((inputs[1], output))) for block in backbone.blocks]
    with torch.no_grad():
        ATSNN(backbone, gamma=5)(images())
    [hook.remove() for hook in hooks]
    dead = [(live, output[~live]) for live, output in seen if live is not None]
    assert sum(len(rows) for _, rows in dead) > 0
    assert all((rows == 0).all() for _, rows in dead)


@pytest.mark.parametrize("gamma", (25, 32))
def test_a_deep_network_goes_on_when_one_token_is_left(gamma):
    state = random_official_state_dict(depth=9, width=16, classes=5, seed=8)
    ours = compare(state, images(1), gamma=gamma, timesteps=2, alpha=0.0, beta=-200.0)
    assert ours.trace.survivors.shape == (1, 1)


def test_with_live_rows_batch_norm_of_every_layer_sees_the_live_rows_and_no_others():
    backbone, seen = converted(depth=3, blockwise_gain=2.0), []
    layers = [m for block in backbone.blocks[1:] for m in block.modules() if isinstance(m, torch.nn.Linear)]
    for layer in layers:
        layer.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0].shape[:-1].numel()))
    trace = ATSNN(backbone, gamma=5, bn_rows="live").train()(images()).trace
    live = [int(block.sum()) for block in trace.executed[1:]]
    assert 0 < live[1] < live[0] < trace.executed[0].numel()
    assert seen == [live[0]] * 4 + [live[1]] * 4


def test_the_gradient_of_eq_8_flows_through_the_halting_probabilities(monkeypatch):
    """A shift of beta moves h and r alone; while no token halts elsewhere, logits are differentiable in it."""
    model, image = ATSNN(converted(depth=3, blockwise_gain=1.0), gamma=5).eval(), images(1)

    def run(shift):
        scored = lambda first, live, alpha, beta: torch.where(live, torch.sigmoid(alpha * first + beta + shift), 0)  # noqa: E731
        monkeypatch.setattr("models.halting.score", scored)
        return model(image)

    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
    run(shift).logits.sum().backward()
    low, high = run(-1e-6), run(1e-6)
    assert torch.equal(low.trace.halt_block, high.trace.halt_block)
    slope = (high.logits.sum() - low.logits.sum()).item() / 2e-6
    assert shift.grad.item() == pytest.approx(slope, rel=1e-4) and abs(slope) > 1e-3


@pytest.mark.parametrize("bn_rows", ("all", "live"))
def test_gradients_of_the_overall_loss_reach_every_weight_in_training(bn_rows):
    model = ATSNN(converted(depth=3), gamma=5, bn_rows=bn_rows).train()
    output = model(images())
    overall_loss(
        torch.nn.functional.cross_entropy(output.logits.mean(0), torch.tensor([1, 2])), output.ponder_loss, 1.0
    ).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not without
    assert model.backbone.blocks[0].mlp.output.bn.bias.grad[0] != 0


def test_ponder_loss_falls_as_channel_0_rises():
    """The gradient that teaches tokens to halt: through r, at block 1, towards more of channel 0."""
    model = ATSNN(converted(depth=3, blockwise_gain=None), gamma=0).train()
    model(images()).ponder_loss.backward()
    assert model.backbone.blocks[0].mlp.output.bn.bias.grad[0] < 0


def test_batch_norm_over_live_rows_differs_in_training_only():
    image = images()
    for train, equal in ((False, True), (True, False)):
        outputs = [
            ATSNN(converted(blockwise_gain=2.0), gamma=5, bn_rows=rows).train(train)(image).logits for rows in ("all", "live")
        ]
        assert torch.allclose(*outputs, rtol=0, atol=1e-9) == equal


def test_batch_norm_over_live_rows_survives_a_block_without_any():
    model = ATSNN(converted(depth=3, blockwise_gain=50.0), gamma=0, epsilon=0.999, bn_rows="live").train()
    output = model(images(1))
    assert output.trace.executed[1:].sum() == 0 and output.logits.isfinite().all()


@pytest.mark.parametrize(
    "wrong", ({"axes": "3d"}, {"reading": "loose"}, {"partner": "any"}, {"head_norm": "none"}, {"bn_rows": "dead"}, {"gamma": -1})
)
def test_an_unknown_option_is_refused(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong)))):
        ATSNN(converted(depth=2), **{"gamma": 5} | wrong)


def test_double_of_a_float32_network_works_throughout():
    torch.manual_seed(0)
    model = ATSNN(Spikformer(depth=2, width=16, heads=4), gamma=5).double()
    output = model(images())
    assert output.logits.dtype == output.ponder_loss.dtype == output.trace.probability.dtype == torch.float64


def test_scores_and_counts_stay_float32_under_bfloat16_autocast():
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        output = ATSNN(Spikformer(depth=2, width=16, heads=4), gamma=5)(images().float())
    assert output.logits.dtype == output.ponder_loss.dtype == output.trace.probability.dtype == torch.float32
