import pytest
import torch
from reference import random_official_state_dict

from models.convert import from_official_spikformer
from models.spikformer import Spikformer


def small(**change):
    torch.manual_seed(0)
    return Spikformer(**{"depth": 2, "width": 16, "heads": 4, "classes": 5} | change)


def test_parameter_count_is_the_published_one_without_the_unused_layer_norms():
    layer_norms = 4 * 2 * 2 * 384
    assert sum(p.numel() for p in Spikformer().parameters()) == 9_330_874 - layer_norms


@pytest.mark.parametrize("size", (32, 64))
def test_an_image_becomes_64_tokens_of_counts_zero_one_two(size):
    tokens = small(image_size=size).embed(torch.randn(3, 3, size, size))
    assert tokens.shape == (4, 3, 64, 16)
    assert set(tokens.unique().tolist()) <= {0, 1, 2} and tokens.max() > 0


def test_tokens_are_in_row_major_order():
    model = from_official_spikformer(random_official_state_dict(depth=1, width=16, classes=5, seed=0), heads=4)
    image = torch.zeros(1, 3, 32, 32).double()
    changed = image.clone()
    changed[..., 20:24, 8:12] = 3.0  # the patch of row 5, column 2
    difference = (model.embed(changed) - model.embed(image)).abs().sum(dim=(0, 1, 3))
    touched = difference.nonzero().flatten()
    rows, columns = touched // 8, touched % 8
    assert len(touched) and (rows - 5).abs().max() <= 4 and (columns - 2).abs().max() <= 4
    assert abs(rows.double().mean() - 5) < 1.5 and abs(columns.double().mean() - 2) < 1.5


def test_the_stream_holds_integers_of_at_most_two_more_per_block():
    model = small(depth=3)
    u = model.embed(torch.randn(4, 3, 32, 32))
    for number, block in enumerate(model.blocks, start=1):
        u = block(u)
        assert torch.equal(u, u.round()) and u.min() >= 0 and u.max() <= 2 + 2 * number


def test_nothing_leaks_from_one_forward_pass_into_the_next():
    model = small().eval()
    image, other = torch.randn(2, 3, 32, 32), torch.randn(5, 3, 32, 32)
    first = model(image).logits
    model(other)
    assert torch.equal(model(image).logits, first)


def test_logits_are_causal_in_time():
    model = small().eval().double()
    image = torch.randn(2, 3, 32, 32).double()
    four = model(image).logits
    model.timesteps = 2
    torch.testing.assert_close(model(image).logits, four[:2], rtol=0, atol=1e-12)


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 64, 64\) given, this network takes \(3, 32, 32\)"):
        small()(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize(
    "change, message", (({"heads": 5}, "5 heads"), ({"width": 20}, "multiple of 8"), ({"image_size": 48}, "image_size 48"))
)
def test_an_impossible_network_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        small(**change)


def test_logits_are_float32_under_bfloat16_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert small()(torch.randn(2, 3, 32, 32)).logits.dtype == torch.float32
