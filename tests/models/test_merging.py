import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.merging import add_sources, match, merged_per_block, removed_in, similarity, take


def tokens(*rows):
    return torch.tensor(rows).double()[None, None]  # T = B = 1


def everyone(token):
    return torch.ones(token.shape[:3], dtype=torch.bool)


def test_similarity_orders_as_the_cosine_does_and_is_its_signed_square():
    a, b = torch.randn(5, 7).double(), torch.randn(6, 7).double()
    cosine = torch.nn.functional.cosine_similarity(a[:, None], b[None], dim=-1)
    torch.testing.assert_close(similarity(a, b), cosine * cosine.abs(), rtol=1e-12, atol=1e-12)


def test_a_zero_token_has_similarity_zero():
    assert similarity(torch.zeros(1, 3), torch.ones(2, 3)).tolist() == [[0, 0]]


def test_equal_cosines_of_integer_counts_tie_exactly():
    """Multiples of one vector have cosine 1 with it; square roots would round some to 1 - 2^-53."""
    base = torch.tensor([[1.0, 2.0, 3.0, 1.0]])
    multiples = torch.arange(1, 300)[:, None] * base
    assert similarity(base, multiples).unique().numel() == 1


def test_figure_4_merges_the_first_and_third_token_into_the_second():
    token = tokens([1, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 1])
    merge = match(token, everyone(token), gamma=2)
    assert merge.source.tolist() == [[0, 2]] and merge.target.tolist() == [[[1, 1]]] and merge.kept.tolist() == [[1, 3, 4]]
    assert add_sources(token, merge)[0, 0].tolist() == [[4, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert add_sources(torch.ones(1, 1, 5), merge).tolist() == [[[3, 1, 1]]]


def test_ties_go_to_the_lower_index_for_sources_and_targets():
    token = tokens(*[[1, 1]] * 6)
    merge = match(token, everyone(token), gamma=2)
    assert merge.source.tolist() == [[0, 2]] and merge.target.tolist() == [[[1, 1]]]


def test_sources_of_the_first_timestep_are_the_sources_of_all():
    first, second = [[1, 0], [1, 0], [0, 1], [5, 1]], [[0, 1], [5, 1], [1, 0], [1, 0]]
    token = torch.tensor([[first], [second]]).double()  # at t = 2 the other even token would be chosen
    merge = match(token, everyone(token), gamma=1)
    assert merge.source.tolist() == [[0]]
    assert merge.target.tolist() == [[[1]], [[1]]]  # cos((0,1),(5,1)) > cos((0,1),(1,0)): chosen anew, here the same


def test_partner_per_timestep_moves_where_fixed_stays():
    first, second = [[1, 0], [1, 0], [0, 1], [0, 1]], [[0, 1], [1, 0], [0, 1], [0, 1]]
    token = torch.tensor([[first], [second]]).double()
    assert match(token, everyone(token), 1).target.tolist() == [[[1]], [[3]]]
    assert match(token, everyone(token), 1, "fixed").target.tolist() == [[[1]], [[1]]]


def test_a_halted_target_is_never_chosen_and_without_any_the_source_is_lost():
    token = tokens([1, 0], [1, 0], [0, 1], [0, 1])
    one_left = torch.tensor([[[True, False, True, True]]])
    merge = match(token, one_left, gamma=2)
    assert merge.target.tolist() == [[[3, 3]]] and merge.source.tolist() == [[2, 0]]
    none_left = torch.tensor([[[True, False, True, False]]])
    lost = match(token, none_left, gamma=1)
    assert lost.found.tolist() == [[[False]]] and lost.source.tolist() == [[0]]
    assert add_sources(token, lost)[0, 0].tolist() == [[1, 0], [0, 1], [0, 1]]


def test_with_fixed_partners_a_source_is_lost_where_its_target_is_halted():
    token = torch.tensor([[[[1, 0], [1, 0]]], [[[1, 0], [1, 0]]]]).double()
    live = torch.tensor([[[True, True]], [[True, False]]])
    assert match(token, live, 1, "fixed").found.tolist() == [[[True]], [[False]]]


@pytest.mark.parametrize(
    "gamma, depth, ratio", ((25, 4, 0.2891), (32, 4, 0.2344), (5, 4, 0.8047), (10, 4, 0.6094), (3, 8, 0.7891), (5, 8, 0.6484))
)
def test_token_ratios_of_the_method_come_out_exactly_when_nothing_halts(gamma, depth, ratio):
    left, counts = 64, []
    for _ in range(depth):
        left -= merged_per_block(left, gamma)
        counts.append(left)
    assert round(sum(counts) / depth / 64, 4) == ratio


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 17), st.integers(0, 20), st.integers(0, 10**6))
def test_merging_keeps_the_sum_of_everything_while_a_target_is_live(count, gamma, seed):
    random = torch.Generator().manual_seed(seed)
    token = torch.randint(0, 4, (3, 2, count, 5), generator=random).double()
    live = torch.rand(3, 2, count, generator=random) < 0.7
    live[:, :, 1] = True
    merge = match(token, live, gamma)
    merged = add_sources(token, merge)
    assert merged.shape[2] == count - min(gamma, count // 2)
    torch.testing.assert_close(merged.sum(2), token.sum(2))
    assert (merge.source % 2 == 0).all() and (merge.target % 2 == 1).all() and take(live.double(), merge.target).all()


def test_the_block_that_took_a_token_away_is_counted_from_the_blocks_it_was_in():
    places = [torch.tensor([[0, 1, 3, 4], [1, 2, 3, 4]]), torch.tensor([[1, 3], [2, 4]])]
    assert removed_in(places, 5).tolist() == [[2, 0, 1, 0, 2], [1, 2, 0, 2, 0]]
