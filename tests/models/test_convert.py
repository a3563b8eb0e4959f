import pytest
import torch
from reference import random_official_state_dict, reference_spikformer
from reference_spikingformer import random_official_spikingformer_state_dict

from models.convert import from_official_spikformer, from_official_spikingformer


@pytest.fixture
def state():
    return random_official_state_dict(depth=3, width=24, classes=7, seed=1)


@pytest.fixture
def spikingformer_state():
    """Its logits are compared in tests/models/spikingformer/test_spikingformer.py."""
    return random_official_spikingformer_state_dict(depth=3, width=24, classes=7, seed=1)


def test_published_weights_give_the_published_logits(state):
    model, image = from_official_spikformer(state, heads=4), torch.randn(2, 3, 32, 32).double()
    assert not model.training and len(model.blocks) == 3 and model.head.out_features == 7
    torch.testing.assert_close(model(image).logits, reference_spikformer(state, image, heads=4, timesteps=4), rtol=0, atol=1e-9)


def test_the_published_size_has_the_published_parameters():
    state = random_official_state_dict(depth=4, width=384, classes=10, seed=0)
    counted = [x for name, x in state.items() if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert sum(x.numel() for x in counted) == 9_330_874
    assert sum(p.numel() for p in from_official_spikformer(state).parameters()) == 9_324_730


WRAPPED = pytest.mark.parametrize(
    "wrap",
    (
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {k: v for k, v in s.items() if "norm" not in k},
    ),
)


@WRAPPED
def test_wrapped_prefixed_or_without_the_unused_norms_it_is_the_same_network(state, wrap):
    image = torch.randn(1, 3, 32, 32).double()
    assert torch.equal(
        from_official_spikformer(wrap(state), heads=4)(image).logits, from_official_spikformer(state, heads=4)(image).logits
    )


def test_a_missing_tensor_is_named(state):
    del state["block.1.attn.k_bn.running_var"]
    with pytest.raises(ValueError, match=r"missing block\.1\.attn\.k_bn\.running_var"):
        from_official_spikformer(state, heads=4)


def test_an_unknown_tensor_is_named(state):
    state["block.0.attn.rpe"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"unknown block\.0\.attn\.rpe"):
        from_official_spikformer(state, heads=4)


@pytest.mark.parametrize(
    "name", ("block.2.mlp.fc1_linear.weight", "head.bias", "patch_embed.proj_bn2.bias", "block.0.attn.q_bn.num_batches_tracked")
)
def test_a_tensor_of_another_shape_is_named_with_both_shapes(state, name):
    state[name] = torch.zeros(3, 5, dtype=torch.float64)
    with pytest.raises(ValueError, match=rf"{name} is \(3, 5\), not \("):
        from_official_spikformer(state, heads=4)


@pytest.mark.parametrize(
    "content", ({}, {"state_dict": {}}, {"weight": torch.zeros(1)}, {"state_dict": 3}, {"state_dict": {1: 2}})
)
def test_something_else_is_refused(content):
    with pytest.raises(ValueError, match="not a published Spikformer checkpoint"):
        from_official_spikformer(content)


@pytest.mark.parametrize("heads, timesteps", ((0, 4), (-4, 4), (5, 4), (True, 4), (4, 0), (4, -1)))
def test_settings_that_no_network_has_are_refused(state, heads, timesteps):
    with pytest.raises(ValueError, match="^(heads|timesteps) is "):
        from_official_spikformer(state, heads=heads, timesteps=timesteps)


def test_a_block_far_behind_the_others_builds_no_network(state):
    state["block.100000.attn.q_linear.weight"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"missing block\.3\.\*, block\.4\.\*.* and 99992 others$"):
        from_official_spikformer(state, heads=4)


def test_a_tensor_with_and_without_the_prefix_is_refused(state):
    name = next(iter(state))
    with pytest.raises(ValueError, match="both with and without"):
        from_official_spikformer(state | {f"module.{name}": state[name]}, heads=4)


@pytest.mark.parametrize("value", (float("nan"), float("inf")))
def test_a_damaged_number_is_refused(state, value):
    state["head.bias"] = torch.full_like(state["head.bias"], value)
    with pytest.raises(ValueError, match="head.bias has NaN or infinite values$"):
        from_official_spikformer(state, heads=4)


@pytest.mark.parametrize(
    "other",
    (
        lambda x: x.to(torch.complex64),
        lambda x: x.long(),
        lambda x: x.to(torch.float8_e5m2),
        lambda x: x.to_sparse(),
        lambda x: x.to("meta"),
    ),
)
def test_what_is_no_plain_tensor_of_floats_is_refused(state, other):
    state["head.weight"] = other(state["head.weight"])
    with pytest.raises(ValueError, match="head.weight is no plain tensor of floats"):
        from_official_spikformer(state, heads=4)


def test_a_negative_variance_is_refused(state):
    state["block.0.attn.q_bn.running_var"][3] = -1e-9
    with pytest.raises(ValueError, match="block.0.attn.q_bn.running_var has a negative variance$"):
        from_official_spikformer(state, heads=4)


def test_a_block_left_out_in_the_middle_is_named(state):
    gap = {k: v for k, v in state.items() if not k.startswith("block.1.")}
    with pytest.raises(ValueError, match=r"missing block\.1\."):
        from_official_spikformer(gap, heads=4)


def test_the_published_spikingformer_has_the_published_parameters():
    state = random_official_spikingformer_state_dict(depth=4, width=384, classes=10, seed=0)
    counted = [x for name, x in state.items() if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert sum(x.numel() for x in counted) == 9_326_266
    assert sum(p.numel() for p in from_official_spikingformer(state).parameters()) == 9_320_122


@WRAPPED
def test_wrapped_prefixed_or_without_the_unused_norms_it_is_the_same_spikingformer(spikingformer_state, wrap):
    image, models = (
        torch.randn(1, 3, 32, 32).double(),
        [from_official_spikingformer(s, heads=4) for s in (wrap(spikingformer_state), spikingformer_state)],
    )
    assert not models[0].training and len(models[0].blocks) == 3 and models[0].head.out_features == 7
    assert torch.equal(*(model(image).logits for model in models))


@pytest.mark.parametrize("name", ("block.1.attn.k_bn.running_var", "block.0.mlp.mlp2_conv.bias", "patch_embed.block4_bn.weight"))
def test_a_missing_tensor_of_a_spikingformer_is_named(spikingformer_state, name):
    del spikingformer_state[name]
    with pytest.raises(ValueError, match=f"does not fit a published Spikingformer: missing {name}$"):
        from_official_spikingformer(spikingformer_state, heads=4)


@pytest.mark.parametrize("name", ("block.0.attn.q_conv.bias", "patch_embed.block0_conv.bias", "block.0.norm3.weight"))
def test_an_unknown_tensor_of_a_spikingformer_is_named(spikingformer_state, name):
    spikingformer_state[name] = torch.zeros(24)
    with pytest.raises(ValueError, match=f"unknown {name}$"):
        from_official_spikingformer(spikingformer_state, heads=4)


@pytest.mark.parametrize(
    "name, shape",
    (
        ("block.2.mlp.mlp1_conv.weight", "96, 24, 1, 1"),
        ("block.0.attn.proj_conv.weight", "24, 24, 1"),
        ("block.0.attn.v_bn.num_batches_tracked", ""),
        ("patch_embed.block0_conv.weight", "3, 3, 3, 3"),
    ),
)
def test_a_tensor_of_another_shape_in_a_spikingformer_is_named_with_both_shapes(spikingformer_state, name, shape):
    spikingformer_state[name] = torch.zeros(3, 5, dtype=torch.float64)
    with pytest.raises(ValueError, match=rf"{name} is \(3, 5\), not \({shape}\)"):
        from_official_spikingformer(spikingformer_state, heads=4)


def test_one_published_network_is_not_the_other(state, spikingformer_state):
    for convert, other in ((from_official_spikformer, spikingformer_state), (from_official_spikingformer, state)):
        with pytest.raises(ValueError, match="not a published Spik(ing)?former checkpoint: patch_embed.* is missing"):
            convert(other, heads=4)
        with pytest.raises(ValueError, match="not a published Spik(ing)?former checkpoint: it holds no dictionary"):
            convert({"state_dict": 3})
