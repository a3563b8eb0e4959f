import pytest
import torch

from models import halting


def test_eq_3_on_integer_counts():
    first = torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])
    h = halting.score(first, torch.ones(1, 1, 4, dtype=torch.bool), 5.0, -10.0)
    assert [round(x, 4) for x in h.flatten().tolist()] == [0.0, 0.0067, 0.5, 0.9933]


def test_merged_token_halts_like_the_mean_of_its_parts():
    parts = torch.tensor([1.0, 2.0, 6.0])
    merged = halting.channel_0(parts.sum().reshape(1, 1, 1, 1), torch.full((1, 1, 1), 3.0))
    alone = halting.channel_0(parts.mean().reshape(1, 1, 1, 1), torch.ones(1, 1, 1))
    assert torch.equal(merged, alone)


def test_a_token_that_is_not_live_scores_nothing():
    assert halting.score(torch.full((1, 1, 1), 9.0), torch.zeros(1, 1, 1, dtype=torch.bool), 5.0, -10.0).item() == 0


H = torch.tensor([[0.1, 0.2, 0.3], [0.01, 0.02, 0.03]]).double()  # h of blocks 1..3 at t = 1 and 2


def total(block, **how):
    before, now = H[:, : block - 1].sum(1), H[:, block - 1]
    return halting.halting_sum(before[:, None, None], now[:, None, None], **how).flatten().tolist()


def test_eq_4_in_every_reading_of_both_axes():
    assert total(2, reading="inclusive") == pytest.approx([0.1 + 0.2, 0.1 + 0.2 + 0.01 + 0.02])
    assert total(2, reading="printed") == pytest.approx([0.1, 0.1 + 0.01])
    # The worked example of section 3.1: block 2 at the second timestep has h11 + h12 + h22.
    assert total(2, reading="example") == pytest.approx([0.1 + 0.2, 0.1 + 0.01 + 0.02])
    assert total(2, reading="inclusive", axes="1d") == pytest.approx([0.3, 0.03])
    assert total(2, reading="printed", axes="1d") == pytest.approx([0.1, 0.01])
    assert total(2, reading="example", axes="1d") == pytest.approx([0.3, 0.03])
    assert total(1, reading="printed") == [0, 0]


def test_every_live_token_halts_at_the_last_block_and_only_there_below_the_threshold():
    sums, live = torch.tensor([[[0.98, 0.99, 2.0]]]), torch.tensor([[[True, True, False]]])
    assert halting.halts(sums, live, 0.01, last=False).tolist() == [[[False, True, False]]]
    assert halting.halts(sums, live, 0.01, last=True).tolist() == [[[True, True, False]]]


def test_eq_7_gives_h_to_those_that_go_on_and_the_remainder_to_those_that_halt():
    h, r = torch.tensor([[[0.2, 0.5, 0.4]]]), torch.tensor([[[0.9, 0.7, 0.6]]])
    live, here = torch.tensor([[[True, True, False]]]), torch.tensor([[[False, True, False]]])
    assert halting.probability(h, r, live, here).tolist()[0][0] == pytest.approx([0.2, 0.7, 0])


def test_eq_9_counts_every_timesteps_blocks_before_the_halting_one_and_the_halting_one_once():
    assert halting.blocks_until_halt(torch.tensor([[[1, 3]], [[1, 3]]])).tolist() == [[[1, 3]], [[1, 5]]]


def test_eq_10_by_hand():
    block, r = torch.tensor([[[1, 3]], [[2, 3]]]), torch.tensor([[[0.5, 0.1]], [[0.2, 0.3]]]).double()
    # NB: t=1: 1, 3; t=2: 3, 5
    assert halting.ponder_loss(block, r).item() == pytest.approx((1.5 + 3.1 + 3.2 + 5.3) / 4)


@pytest.mark.parametrize("how", ({"axes": "3d"}, {"reading": "loose"}))
def test_an_unknown_reading_is_refused(how):
    with pytest.raises(ValueError, match="is unknown: use"):
        total(2, **how)
