"""Early exits, against a slow and literal second implementation."""

import numpy as np
import pytest

from pipeline.command_line import CATALOGUE
from pipeline.evaluation import early_exit
from pipeline.evaluation.measure import Measurement

CONFIDENCE = np.array([[0.9, 0.2, 0.5, 0.1], [0.1, 0.7, 0.5, 0.2], [0.3, 0.8, 0.9, 0.3]])  # [T, N]


def test_an_image_stops_at_the_first_confident_timestep_and_at_the_last_at_the_latest():
    assert early_exit.stops(CONFIDENCE, 0.5).tolist() == [1, 2, 1, 3]
    assert early_exit.stops(CONFIDENCE, 0.0).tolist() == [1] * 4 and early_exit.stops(CONFIDENCE, np.inf).tolist() == [3] * 4
    assert early_exit.at_stop(CONFIDENCE, np.array([1, 2, 1, 3])).tolist() == [0.9, 0.7, 0.5, 0.3]


def literal(confidence, correct, threshold):
    """Timesteps and hits of every image, one at a time."""
    found = []
    for n in range(confidence.shape[1]):
        t = next((t for t in range(len(confidence)) if confidence[t, n] >= threshold), len(confidence) - 1)
        found.append((t + 1, bool(correct[t, n])))
    return np.array([t for t, _ in found]), np.array([hit for _, hit in found])


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_has_the_fewest_timesteps_that_lose_at_most_half_a_point(seed):
    random = np.random.default_rng(seed)
    confidence, correct = random.random((4, 400)).round(3), random.random((4, 400)) < [[0.6], [0.65], [0.7], [0.7]]
    chosen = early_exit.choose_threshold(confidence, correct)
    steps, hits = literal(confidence, correct, chosen)
    assert hits.mean() * 100 >= correct[-1].mean() * 100 - 0.5
    for threshold in np.arange(0, 1.01, 0.005):
        other_steps, other_hits = literal(confidence, correct, threshold)
        if other_hits.sum() >= correct[-1].sum() - 2:  # two of 400 are half a point
            assert other_steps.mean() >= steps.mean()


def test_half_a_point_is_allowed_and_no_image_more():
    confidence = np.stack([np.linspace(0, 1, 200), np.ones(200)])
    correct = np.ones((2, 200), bool)
    correct[0, [3, 150]] = False
    assert (
        early_exit.stops(confidence, early_exit.choose_threshold(confidence, correct)).tolist() == [2] * 4 + [1] * 196
    )  # loses image 150


def test_nothing_stops_early_where_it_always_costs_too_much():
    confidence, correct = np.full((2, 10), 0.5), np.array([[False] * 10, [True] * 10])
    assert early_exit.choose_threshold(confidence, correct) == np.inf
    assert (
        early_exit.stops(np.full((1, 10), 0.5), early_exit.choose_threshold(np.full((1, 10), 0.5), correct[1:])).tolist()
        == [1] * 10
    )


def measurement(seed, images, tokens):
    random = np.random.default_rng(seed)
    share = random.random((4, images)) if tokens else None
    return Measurement(random.integers(0, 5, images), random.normal(size=(4, images, 5)), depth=2, image_tokens=share)


def test_an_exit_is_read_from_logits_alone_and_counts_the_tokens_of_executed_timesteps():
    test, heldout = measurement(0, 60, True), measurement(1, 80, False)
    told = early_exit.read_exit(CATALOGUE.methods["seenn_i"].confidence, test, heldout)
    mean = np.stack([test.logits[: t + 1].mean(0) for t in range(4)])
    softmax = np.exp(mean) / np.exp(mean).sum(-1, keepdims=True)
    steps, hits = literal(softmax.max(-1), mean.argmax(-1) == test.labels, told["threshold"])
    assert told["timesteps"] == steps.mean() and told["accuracy"] == pytest.approx(100 * hits.mean())
    tokens = sum(test.image_tokens[:t, n].sum() for n, t in enumerate(steps)) / steps.sum()
    assert told["average_tokens"] == pytest.approx(tokens) and 1 <= told["heldout_timesteps"] <= 4
    assert early_exit.read_exit(CATALOGUE.methods["seenn_i"].confidence, heldout, heldout)["average_tokens"] == 1.0


def test_the_threshold_is_chosen_without_the_test_images():
    heldout = measurement(1, 80, False)
    thresholds = {
        early_exit.read_exit(CATALOGUE.methods["dt_snn"].confidence, measurement(seed, 60, False), heldout)["threshold"]
        for seed in range(3)
    }
    assert len(thresholds) == 1
