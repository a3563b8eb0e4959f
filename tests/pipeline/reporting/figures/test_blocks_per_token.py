import numpy as np
import pytest

from pipeline.reporting.figures import blocks_per_token as figure


def test_tokens_are_object_by_half_of_their_pixels_background_by_none():
    masks = np.zeros((1, 32, 32), bool)
    masks[0, :4, :4] = True  # all of token 0
    masks[0, :4, 4:6] = True  # half of token 1
    masks[0, :4, 8] = True  # a quarter of token 2
    is_object, is_background = figure.classify(masks)
    assert is_object[0, :4].tolist() == [True, True, False, False] and is_background[0, :4].tolist() == [
        False,
        False,
        False,
        True,
    ]
    assert is_object.sum() == 2 and is_background.sum() == 61


class Evaluation:
    id = "at_snn-s0-00000000"
    timesteps = 2

    class run:
        network = {"depth": 4}


def measured(monkeypatch, halt_block, survived, masks):
    arrays = {"halt_block": np.array(halt_block, np.uint8), "merge_block": np.where(survived, 0, 1)}
    split = type("Split", (), {"masks": masks})
    monkeypatch.setattr(figure, "arrays_of", lambda *_: (arrays, split))
    return figure.halting_of_seed(None, Evaluation)


def scene():
    masks = np.zeros((1, 32, 32), bool)
    masks[0, :4, :4] = True
    return masks, np.full((2, 1, 64), 4), np.ones((1, 64), bool)


def test_the_number_is_the_difference_of_mean_halting_blocks(monkeypatch):
    masks, halt_block, survived = scene()
    halt_block[1, 0, 0] = 3  # the object: 4 and 3
    halt_block[:, 0, 1:] = 2
    halt_block[:, 0, 9], survived[0, 9] = 0, False  # merged away: not counted
    numbers = measured(monkeypatch, halt_block, survived, masks)
    assert numbers["object_halt_block"] == 3.5 and numbers["background_halt_block"] == 2
    assert numbers["background_halts_earlier_by_blocks"] == pytest.approx(1.5)


def test_it_is_undefined_when_none_halts_before_the_last_block(monkeypatch):
    masks, halt_block, survived = scene()
    numbers = measured(monkeypatch, halt_block, survived, masks)
    assert numbers["undefined"] == "none halts before the last block"
    assert "undefined, none halts" in figure.caption({"mean": None, "std": None, "n": 0, "seeds": [numbers]})


def test_it_is_undefined_without_masks(monkeypatch):
    _, halt_block, survived = scene()
    assert measured(monkeypatch, halt_block - 1, survived, None)["undefined"] == "these images have no object masks"


def test_the_caption_says_which_halts_first():
    assert "halt 0.250 ± 0.010 blocks earlier" in figure.caption({"mean": 0.25, "std": 0.01, "n": 2, "seeds": []})
    assert "halt 0.250 blocks later" in figure.caption({"mean": -0.25, "std": None, "n": 1, "seeds": []})
