"""The figures that are computed from formulas: the worked example and the two neurons, worked out here by hand."""

from math import exp

import pytest

from pipeline.figures import two_neurons, worked_example


def h(first):
    return 1 / (1 + exp(10 - 5 * first))


@pytest.fixture(scope="module")
def example():
    return worked_example.run()


def test_the_first_and_the_third_token_join_the_second_at_every_timestep(example):
    assert example["merges"][0] == [[(0, 1), (2, 1)]] * 2 and example["tokens"] == [7, 5, 3]
    assert [k for k, block in enumerate(example["merge_block"]) if block == 1] == [0, 2]


def test_the_numbers_in_the_cells_are_the_sums_of_equation_4(example):
    """Token 5 (from 0) scores h(3) in block 1 and halts there; token 1, three tokens merged, counts as one: h(2) and h(2)."""
    summed = example["summed"]
    assert summed[0][0][5] == pytest.approx(h(3)) and summed[0][1][5] == pytest.approx(2 * h(3))
    assert summed[0][0][1] == pytest.approx(h(2)) and summed[1][0][1] == pytest.approx(2 * h(2))
    assert summed[1][0][8] == pytest.approx(h(1) + h(1)), "token 8 gains nothing in block 2"
    assert summed[1][1][8] == pytest.approx(4 * h(1)), "at t = 2 the scores of t = 1 count too"
    halted = {(t, k): block for t in (0, 1) for k, block in enumerate(example["halt_block"][t]) if 0 < block < 3}
    assert halted == {(0, 1): 2, (0, 5): 1, (0, 7): 2, (1, 1): 1, (1, 5): 1, (1, 7): 1}
    for (t, k), block in halted.items():
        assert summed[block - 1][t][k] >= 0.99 and not any(example["executed"][l][t][k] for l in range(block, 3))


def test_summing_neurons_fire_under_consistent_masks_alone():
    told = {tuple(m["masked"]): m for m in map(two_neurons.outcome, two_neurons.combinations(two_neurons.PLACES, 2))}
    fires = {mask: m["fires"] for mask, m in told.items()}
    assert fires.pop(("j1", "j2")) == ["i2"] and fires.pop(("i1", "i2")) == ["j2"]
    assert len(fires) == 4 and not any(fires.values()), "0.8, 0.8, 0.6 and 0.5 are the largest sums"


def test_a_leaky_neuron_gets_as_far_as_its_recursion():
    """v = 0.15, then 0.15 + (0.8 - 0.15) / 2 = 0.475."""
    assert two_neurons.leaky([0.3, 0.8]) == pytest.approx(0.475, abs=1e-9)
    assert two_neurons.leaky([0.5, 0.0]) == pytest.approx(0.25, abs=1e-9) and two_neurons.leaky([0.0, 0.0]) == 0
