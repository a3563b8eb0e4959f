"""Spikingformer, and AT-SNN on it, against the independent implementation in tests/reference_spikingformer.py."""

import copy
import itertools

import pytest
import torch
from reference_spikingformer import (
    random_official_spikingformer_state_dict,
    reference_at_snn_on_spikingformer,
    reference_spikingformer,
)

from models import native
from models.at_snn import ATSNN, overall_loss
from models.convert import from_official_spikingformer
from models.native import build
from models.spikformer import NormLinear
from models.spikingformer import Neuron, Spikingformer


def small(**change):
    torch.manual_seed(0)
    return Spikingformer(**{"depth": 2, "width": 16, "heads": 4, "classes": 5} | change)


def images(count=2, size=32, seed=0):
    return torch.randn(count, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def published(depth=3, seed=3, gain=0.3):
    return random_official_spikingformer_state_dict(depth=depth, width=24, classes=7, seed=seed, blockwise_gain=gain)


def compare(state, image, timesteps=4, **options):
    backbone = from_official_spikingformer(state, heads=4, timesteps=timesteps, image_size=image.shape[-1])
    with torch.no_grad():
        ours = ATSNN(backbone, **options).eval()(image)
    theirs = reference_at_snn_on_spikingformer(state, image, heads=4, timesteps=timesteps, **options)
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=0, atol=1e-9)
    assert abs(ours.ponder_loss.item() - float(theirs.ponder_loss)) < 1e-9
    for name in ("executed", "halt_block", "survivors"):
        assert torch.equal(getattr(ours.trace, name), getattr(theirs.trace, name)), name
    for name in ("remainder", "probability"):
        torch.testing.assert_close(getattr(ours.trace, name), getattr(theirs.trace, name), rtol=0, atol=1e-9)
    return ours


@pytest.mark.parametrize("size, timesteps", ((32, 4), (64, 3)))
def test_published_weights_give_the_published_logits(size, timesteps):
    state, image = published(), images(3, size)
    model = from_official_spikingformer(state, heads=4, timesteps=timesteps, image_size=size)
    expected, rates = reference_spikingformer(state, image, heads=4, timesteps=timesteps)
    torch.testing.assert_close(model(image).logits.mean(0), expected, rtol=0, atol=1e-9)
    assert all(0.05 < rate < 0.7 for rate in rates.values()), rates
    assert expected.std(dim=0).min() > 1e-3, "images must differ"


@pytest.mark.parametrize("gamma, reading", list(itertools.product((0, 5, 25), ("inclusive", "printed", "example"))))
def test_at_snn_equals_the_independent_implementation(gamma, reading):
    ours = compare(published(depth=4, gain=None), images(), gamma=gamma, reading=reading)
    share = ours.trace.executed.double().mean(dim=(1, 2, 3))
    assert share[-1] < 0.5 * share[0] and len(ours.trace.halt_block.unique()) >= 3, "tokens must have halted, here and there"


@pytest.mark.parametrize(
    "options", ({"axes": "1d", "partner": "fixed"}, {"axes": "1d", "head_norm": "initial", "epsilon": 0.1}), ids=str
)
def test_every_option_equals_the_independent_implementation(options):
    compare(published(), images(), gamma=7, **options)


def test_large_images_equal_the_independent_implementation():
    compare(published(depth=2), images(1, 64), timesteps=3, gamma=7)


def test_an_image_becomes_64_tokens_of_real_numbers():
    for size in (32, 64):
        tokens = small(image_size=size).embed(torch.randn(3, 3, size, size))
        assert tokens.shape == (4, 3, 64, 16) and tokens.min() < 0 and not torch.equal(tokens, tokens.round())


def test_layers_read_spikes_and_branches_end_in_real_numbers():
    model, seen = from_official_spikingformer(published(depth=2), heads=4), []
    for layer in (m for block in model.blocks for m in block.modules() if isinstance(m, NormLinear)):
        layer.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    model(images())
    assert len(seen) == 8 and all(set(x.unique().tolist()) == {0, 1} for x in seen)
    assert sum(isinstance(m, Neuron) for m in model.modules()) == 4


def test_the_head_starts_as_published_and_the_other_layers_as_torch_has_it():
    model = small(width=64, classes=100)
    assert abs(model.head.weight.std() - 0.02) < 0.002 and (model.head.bias == 0).all()
    hidden = model.blocks[0].mlp.hidden.linear
    assert hidden.weight.abs().max() <= 1 / 8 < 1.01 * hidden.weight.abs().max() and hidden.bias.abs().max() > 0.1
    assert model.blocks[0].attention.qkv.linear.bias is None


def test_nothing_leaks_from_one_forward_pass_into_the_next():
    model = small().eval()
    image, other = torch.randn(2, 3, 32, 32), torch.randn(5, 3, 32, 32)
    first = model(image).logits
    model(other)
    assert torch.equal(model(image).logits, first)


def halting(bn_rows="all", depth=3):
    """Channel 0 grows by 0.6 per block, so that tokens halt here and there."""
    backbone = from_official_spikingformer(published(depth=depth, gain=0.6), heads=4)
    return ATSNN(backbone, gamma=5, bn_rows=bn_rows)


def test_a_halted_token_computes_nothing_and_stays_zero():
    model, seen = halting(), []
    for block in model.backbone.blocks:
        block.register_forward_hook(lambda _, inputs, output: seen.append((inputs[1], output)))
    for mode in (False, True):
        model.train(mode)(images())
    dead = [output[~live] for live, output in seen if live is not None]
    assert sum(len(rows) for rows in dead) > 100 and all((rows == 0).all() for rows in dead)


@pytest.mark.parametrize("bn_rows", ("all", "live"))
def test_gradients_of_the_overall_loss_reach_every_weight_in_training(bn_rows):
    model = halting(bn_rows).train()
    output = model(images())
    assert output.trace.executed[-1].double().mean() < 0.6
    task = torch.nn.functional.cross_entropy(output.logits.mean(0), torch.tensor([1, 2]))
    overall_loss(task, output.ponder_loss, 1.0).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert model.backbone.blocks[0].mlp.output.bn.bias.grad[0] != 0


def test_with_live_rows_batch_norm_sees_the_live_rows_and_no_others():
    model, seen = halting("live"), []
    for layer in (m for block in model.backbone.blocks[1:] for m in block.modules() if isinstance(m, torch.nn.Linear)):
        layer.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0].shape[:-1].numel()))
    trace = model.train()(images()).trace
    live = [int(block.sum()) for block in trace.executed[1:]]
    assert 0 < live[1] < live[0] < trace.executed[0].numel()
    assert seen == [live[0]] * 4 + [live[1]] * 4


def test_batch_norm_over_live_rows_differs_in_training_only():
    for train, equal in ((False, True), (True, False)):
        outputs = [halting(rows).train(train)(images()).logits for rows in ("all", "live")]
        assert torch.allclose(*outputs, rtol=0, atol=1e-9) == equal


def step(network, image):
    output = network(image)
    output.logits.square().mean().backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if not name.endswith("linear.bias")}
    return output.logits.detach(), gradients, list(network.buffers())


@pytest.mark.skipif(build.library()[0] is None, reason=native.describe())
def test_kernels_give_the_logits_and_gradients_of_plain_pytorch(monkeypatch):
    """In float64, where no spike flips; and in float32, which asks for them itself, the same logits for nearly all images."""
    network, image = halting().train(), images(4)
    plain = copy.deepcopy(network)
    monkeypatch.setattr(build, "SERVED", (*build.SERVED, torch.float64))
    logits, gradients, buffers = step(network, image)
    narrow = copy.deepcopy(network).eval().float()(images(32).float()).logits
    monkeypatch.setattr(native, "supports", lambda tensor: False)
    expected, theirs, statistics = step(plain, image)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(buffers, statistics, rtol=0, atol=1e-9)
    largest = max(float(gradient.norm()) for gradient in theirs.values())
    assert all((gradients[name] - theirs[name]).norm() < 1e-9 * largest for name in theirs)
    same = (narrow - plain.eval().float()(images(32).float()).logits).abs().amax(dim=(0, 2)) < 1e-4
    assert same.double().mean() >= 0.9


def test_the_stream_and_logits_stay_float32_under_bfloat16_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        u = small().embed(torch.randn(2, 3, 32, 32))
        output = ATSNN(small(), gamma=5)(torch.randn(2, 3, 32, 32))
        assert u.dtype == small().blocks[0](u).dtype == torch.float32
    assert output.logits.dtype == output.ponder_loss.dtype == torch.float32


@pytest.mark.parametrize(
    "change, message", (({"heads": 5}, "5 heads"), ({"width": 20}, "multiple of 8"), ({"image_size": 48}, "image_size 48"))
)
def test_an_impossible_network_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        small(**change)
