"""The figures that need no network: the worked example and the two neurons, against numbers worked out by hand."""

from math import exp

import pytest

from pipeline.reporting.figures import two_neurons, worked_example


def h(first, count=1):
    """Eq. 3."""
    return 1 / (1 + exp(-(5 * first / count - 10)))


@pytest.fixture(scope="module")
def grids():
    return {(grid["timestep"], grid["block"]): grid for grid in worked_example.read_grids()}


def test_the_first_and_the_third_token_merge_into_the_second_at_every_timestep(grids):
    for t in (1, 2):
        assert grids[t, 1]["merges"] == [[0, 1], [2, 1]]
        assert grids[t, 2]["merges"] == [[6, 7], [8, 7]] and grids[t, 3]["merges"] == [[4, 5]]
        for block, gone in ((1, {0, 2}), (2, {0, 2, 6, 8}), (3, {0, 1, 2, 4, 6, 8})):  # gamma 2, in every block
            assert {k for k, fate in enumerate(grids[t, block]["fate"]) if fate == "merged"} == gone


def test_every_number_is_the_sum_of_equation_4(grids):
    """By hand, from the counts in channel 0: `a` to `f` are scores of tokens 1, 3, 4, 5 and 7, at t = 1 and t = 2."""
    one_1, one_2 = [h(5, 3), h(7, 3)], [h(8, 3)]  # (1 + 2 + 1) + 1, + 2; at t = 2 (2 + 2 + 2) + 2, halted
    three_1, three_2 = [h(1), h(2), h(2)], [h(1), h(2)]
    four_1, four_2 = [h(1), h(1)], [h(1), h(1)]
    five_1, five_2 = [h(0), h(1), h(3, 2)], [h(1), h(1), h(3, 2)]  # with token 4: 1 + 1 + 1
    six, six_2 = h(2), h(1)
    seven_1, seven_2 = [h(2), h(7, 3)], [h(1), h(5, 3)]  # (2 + 2 + 2) + 1; at t = 2 (1 + 1 + 1) + 2

    def told(first, second=()):
        return sum(first) + sum(second)

    expected = {
        (1, 1): {1: one_1[0], 3: h(1), 4: h(1), 5: h(0), 6: six, 7: h(2), 8: six},
        (1, 2): {1: told(one_1), 3: told(three_1[:2]), 4: told(four_1), 5: told(five_1[:2]), 7: told(seven_1)},
        (1, 3): {3: told(three_1), 5: told(five_1), 7: told(seven_1)},
        (2, 1): {
            1: one_1[0] + one_2[0],
            3: three_1[0] + three_2[0],
            4: four_1[0] + four_2[0],
            5: five_1[0] + five_2[0],
            6: six + six_2,
            7: seven_1[0] + seven_2[0],
            8: six + six_2,
        },
        (2, 2): {
            1: one_1[0] + one_2[0],  # what it halted with
            3: told(three_1[:2], three_2),
            4: told(four_1, four_2),
            5: told(five_1[:2], five_2[:2]),
            7: told(seven_1, seven_2),
        },
        (2, 3): {3: told(three_1[:2], three_2), 5: told(five_1, five_2), 7: told(seven_1, seven_2)},
    }
    assert grids.keys() == expected.keys()
    for place, tokens in expected.items():
        assert {k for k, score in enumerate(grids[place]["score"]) if score is not None} == tokens.keys()
        for k, score in tokens.items():
            assert grids[place]["score"][k] == pytest.approx(score, abs=1e-12), (place, k)


def test_tokens_halt_where_their_sum_reaches_the_threshold_and_the_next_block_leaves_them_out(grids):
    for (t, block), grid in grids.items():
        for k, here in enumerate(grid["halts_here"]):
            reached = grid["fate"][k] == "computed" and (grid["score"][k] >= 0.99 or block == 3)
            assert here == reached
            if here and block < 3:
                assert grids[t, block + 1]["fate"][k] in ("halted", "merged")
    halted = {place: [k for k, fate in enumerate(grid["fate"]) if fate == "halted"] for place, grid in grids.items()}
    assert halted == {(1, 1): [], (1, 2): [], (1, 3): [7], (2, 1): [], (2, 2): [1], (2, 3): [3, 7]}


def test_the_caption_of_the_example_says_what_is_drawn(grids):
    said = worked_example.caption(list(grids.values()))
    assert "tokens 1 and 3 merge into token 2" in said and "at t = 1: 2, 8; at t = 2: 2, 4, 8" in said


def test_neurons_that_add_up_fire_under_the_two_consistent_masks_and_under_no_other():
    numbers = two_neurons.draw(None, [])[1]
    fires = {tuple(case["masked"]): case["fires"] for case in numbers["cases"]["IF"]}
    assert len(fires) == 6 and fires.pop(("j1", "j2")) == ["i2"] and fires.pop(("i1", "i2")) == ["j2"]
    assert not any(fires.values())
    assert [case["peak"] for case in numbers["cases"]["IF"]] == pytest.approx([1.1, 0.8, 0.8, 0.6, 0.5, 1.1])
    assert numbers["masks_that_fire"] == {"IF": 2, "LIF": 0} and numbers["unmasked"]["IF"]["fires"] == ["i2", "j2"]


def test_leaky_neurons_fire_under_no_mask_and_without_one_neither():
    numbers = two_neurons.draw(None, [])[1]
    by_mask = {tuple(case["masked"]): case for case in numbers["cases"]["LIF"]}
    assert not any(case["fires"] for case in by_mask.values()) and not numbers["unmasked"]["LIF"]["fires"]
    assert by_mask["j1", "j2"]["potential"]["i"] == pytest.approx([0.15, 0.475])
    assert by_mask["i1", "i2"]["potential"]["j"] == pytest.approx([0.25, 0.425])
    assert by_mask["i1", "j2"]["potential"] == {"i": pytest.approx([0, 0.4]), "j": pytest.approx([0.25, 0.125])}
    assert numbers["peak_bounds"]["LIF"] == pytest.approx([0.4, 0.425])
    assert "2.35 to 2.50" in numbers["caption"]


def test_scaled_inputs_make_leaky_neurons_do_as_the_paper_says():
    for scale, expected in ((2.3, 1), (2.4, 2), (2.6, 4)):  # below, within and above the caption's range
        cases = [two_neurons.outcome("LIF", mask) for mask in two_neurons.combinations(two_neurons.PLACES, 2)]
        fired = sum(
            max(max(two_neurons.leak([scale * x for x in given])) for given in case["inputs"].values()) >= 1 for case in cases
        )
        assert fired == expected


def test_a_membrane_that_fires_starts_again_from_zero():
    assert two_neurons.integrate([1.2, 0.3]) == [1.2, 0.3]
    assert two_neurons.leak([2.4, 0.6]) == pytest.approx([1.2, 0.3])
