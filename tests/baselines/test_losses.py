"""The losses and confidences of the methods against values worked out by hand."""

from math import exp, log

import numpy as np
import pytest
import torch
from reference import random_official_state_dict

from baselines import at_snn, at_snn_e, dt_snn, halt_only, label, merge_only, seenn_i, static, static_control, tet
from models.backbone import BackboneOutput
from models.convert import from_official_spikformer

# Two timesteps, one image, two classes; the image is of class 0. log 3 makes softmax 3/4 and 1/4.
LOGITS = torch.tensor([[[log(3), 0.0]], [[0.0, 3 * log(3)]]], dtype=torch.float64)
TARGET = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
OUTPUT = BackboneOutput(LOGITS)


def test_static_is_the_cross_entropy_of_the_mean_logits():
    # mean: (log 3 / 2, 3 log 3 / 2), a difference of log 3: class 0 has 1/4
    for method in (static, static_control):
        assert method.loss(OUTPUT, TARGET, method.Options()).item() == pytest.approx(log(4))


def test_tet_is_the_mean_cross_entropy_of_every_timestep_and_draws_logits_to_one():
    # t = 1: 3/4 of the softmax; t = 2: a difference of 3 log 3, so 1/28
    task = (log(4 / 3) + log(28)) / 2
    square = ((log(3) - 1) ** 2 + 1 + 1 + (3 * log(3) - 1) ** 2) / 4
    for weight in (0.0, 1e-3, 0.25):
        expected = (1 - weight) * task + weight * square
        assert tet.loss(OUTPUT, TARGET, tet.Options(weight=weight)).item() == pytest.approx(expected)
    assert tet.Options().weight == 1e-3


def test_dt_snn_is_the_mean_cross_entropy_of_the_means_so_far():
    # t = 1: 3/4; t = 1..2: as STATIC, 1/4
    assert dt_snn.loss(OUTPUT, TARGET, dt_snn.Options()).item() == pytest.approx((log(4 / 3) + log(4)) / 2)


def test_soft_targets_weigh_the_classes():
    soft = torch.tensor([[0.75, 0.25]], dtype=torch.float64)
    expected = 0.75 * log(4) + 0.25 * log(4 / 3)
    assert static.loss(OUTPUT, soft, static.Options()).item() == pytest.approx(expected)
    assert dt_snn.loss(OUTPUT, soft, None).item() == pytest.approx((0.75 * log(4 / 3) + 0.25 * log(4) + expected) / 2)


@pytest.mark.parametrize("method", (dt_snn, at_snn_e))
def test_confidence_is_one_minus_the_entropy_over_its_maximum(method):
    # softmax 3/4, 1/4: entropy log 4 - 3/4 log 3
    expected = 1 - (log(4) - 0.75 * log(3)) / log(2)
    assert method.confidence(LOGITS[0].numpy())[0] == pytest.approx(expected)
    assert method.confidence(np.zeros((1, 100)))[0] == pytest.approx(0)
    assert method.confidence(np.array([[1000.0, 0, -1000]]))[0] == 1


def test_confidence_of_seenn_is_the_largest_softmax():
    assert seenn_i.confidence(LOGITS[:, 0].numpy()) == pytest.approx([3 / 4, 27 / 28])
    assert seenn_i.confidence(np.array([[0.0, 1.0, 2.0]]))[0] == pytest.approx(exp(2) / (1 + exp(1) + exp(2)))


def network(method, **options):
    backbone = from_official_spikformer(
        random_official_state_dict(depth=3, width=24, classes=5, seed=0, blockwise_gain=1.0), heads=4
    )
    return method.build(backbone, method.Options(**options)).eval().double()


def images():
    return torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_merge_only_halts_nothing_and_halt_only_merges_nothing():
    with torch.no_grad():
        both = network(at_snn, gamma=5)(images()).trace
        merged, halted = network(merge_only, gamma=5)(images()), network(halt_only)(images())
    assert both.tokens == (59, 54, 49) and (both.halt_block[both.halt_block > 0] < 3).any()
    assert merged.trace.tokens == (59, 54, 49) and set(merged.trace.halt_block.unique().tolist()) == {0, 3}
    assert halted.trace.tokens == (64, 64, 64) and (halted.trace.halt_block < 3).any() and (halted.trace.halt_block > 0).all()


def test_a_name_in_tables_shows_what_was_chosen():
    assert label("AT-SNN", at_snn.Options(gamma=5)) == "AT-SNN (γ = 5)"
    assert label("AT-SNN", at_snn.Options(gamma=5, reading="printed")) == "AT-SNN (γ = 5, reading = printed)"
    assert label("TET", tet.Options()) == "TET" and label("Halt only", halt_only.Options()) == "Halt only"
