"""The network without spikes: timm's where nothing halts, and with halting only what live tokens say to each other."""

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from baselines import a_vit
from models.at_snn import ATSNN
from models.packed import PackedATSNN
from models.vit import ViT

NEVER = {"alpha": 0.0, "beta": -200.0}


def small(**change):
    torch.manual_seed(0)
    return ViT(**{"depth": 3, "width": 24, "heads": 4, "classes": 7} | change)


def images(count=3, size=32):
    return torch.randn(count, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", (32, 64))
def test_without_halting_it_is_timms_network_with_the_same_weights(size):
    settings = {"depth": 3, "num_heads": 4, "num_classes": 7, "class_token": False, "global_pool": "avg"}
    theirs = VisionTransformer(img_size=size, patch_size=size // 8, embed_dim=24, **settings).double().eval()
    for weight in theirs.parameters():  # biases and norms too, far from where they start
        weight.data += 0.1 * torch.randn(weight.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours = small(image_size=size).double().eval()
    ours.load_state_dict(theirs.state_dict())
    image = images(size=size)
    expected = theirs(image)
    assert ours(image).logits.shape == (1, 3, 7) and expected.std(dim=0).min() > 1e-3
    torch.testing.assert_close(ours(image).logits[0], expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(ATSNN(ours, gamma=0, **NEVER)(image).logits[0], expected, rtol=0, atol=1e-9)


def test_live_tokens_compute_what_they_would_alone_and_the_others_are_zero():
    block, u = small().double().eval().blocks[0], torch.randn(1, 2, 64, 24, dtype=torch.float64)
    live = torch.rand(1, 2, 64, generator=torch.Generator().manual_seed(2)) < 0.4
    output = block(torch.where(live[..., None], u, 0), live)
    assert (output[~live] == 0).all()
    for b in range(2):
        alone = block(u[:, b : b + 1, live[0, b]])
        torch.testing.assert_close(output[:, b, live[0, b]], alone[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("fused", (True, False))
def test_an_image_of_which_nothing_is_left_has_finite_gradients(fused):
    """A softmax over no key is no number, unless who computes it takes care."""
    block, live = small().blocks[0], torch.ones(1, 2, 64, dtype=torch.bool)
    live[:, 0], block.attn.fused_attn = False, fused
    output = block(torch.where(live[..., None], torch.randn(1, 2, 64, 24), 0), live)
    output.sum().backward()
    assert (output[:, 0] == 0).all() and all(weight.grad.isfinite().all() for weight in block.parameters())


def test_tokens_whose_scores_are_two_fifths_halt_in_the_third_block():
    beta = torch.tensor(0.4).logit().item()
    with torch.no_grad():
        output = ATSNN(small(depth=4), gamma=0, alpha=0.0, beta=beta)(images().float())
    assert (output.trace.halt_block == 3).all() and output.trace.executed[:, 0, 0, 0].tolist() == [True, True, True, False]
    torch.testing.assert_close(output.trace.remainder, torch.full((1, 3, 64), 0.2))
    assert abs(output.ponder_loss - 3.2) < 1e-5


def test_a_few_halt_and_the_masked_ones_change_nothing_that_is_live():
    """Block by block, each image alone, with the halted tokens taken out of the tensor."""
    network = ATSNN(small(depth=4).double().eval(), gamma=0, alpha=40.0, beta=-1.0)
    trace = network(images()).trace
    assert 0.1 < trace.executed[1:].double().mean() < 0.9 and len(trace.halt_block.unique()) > 2
    logits = network(images()).logits
    for b in range(3):
        u, p, feature = network.backbone.embed(images()[b : b + 1]), trace.probability[:, 0, b], 0
        for l, block in enumerate(network.backbone.blocks):
            live = trace.executed[l, 0, b]
            u = block(u[:, :, live[trace.executed[l - 1, 0, b]]] if l else u)
            feature = feature + (p[l, live, None] * u[0, 0]).sum(0) / 64
        torch.testing.assert_close(network.backbone.classify(feature[None, None])[0, 0], logits[0, b], rtol=0, atol=1e-9)


def test_a_vit_trains_and_its_loss_reaches_every_weight():
    options = a_vit.Options(alpha=2.0, beta=-1.0)
    network = a_vit.build(small(), options)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    image, target, losses = images(8).float(), torch.eye(7)[torch.arange(8) % 7], []
    for _ in range(3):
        output = network(image)
        losses.append(a_vit.loss(output, target, options))
        optimiser.zero_grad()
        losses[-1].backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        optimiser.step()
    assert output.trace.executed[-1].double().mean() < 1 and losses[2] < losses[1] < losses[0]


def test_under_bfloat16_autocast_stream_and_logits_stay_float32():
    with torch.autocast("cpu", torch.bfloat16):
        output = ATSNN(small(), gamma=0)(images().float())
    assert output.logits.dtype == output.trace.probability.dtype == torch.float32


@pytest.mark.parametrize(
    "change, message",
    (
        ({"heads": 5}, "5 heads"),
        ({"timesteps": 4}, "timesteps 4 is not 1"),
        ({"image_size": 48}, "image_size 48"),
        ({"depth": 0}, "depth 0"),
    ),
)
def test_an_impossible_network_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        small(**change)


def test_an_image_of_another_size_and_packing_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 64, 64\) given, this network takes \(3, 32, 32\)"):
        small()(torch.randn(1, 3, 64, 64))
    with pytest.raises(ValueError, match="the blocks of ViT have no on_live_rows, so they can't be packed"):
        PackedATSNN(ATSNN(small(), gamma=0))
