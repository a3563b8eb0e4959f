"""Stop each image early, at the first timestep whose confidence reaches a threshold, at the latest at the last timestep.

The threshold is chosen on held-out images: of all thresholds that lose at most TOLERANCE points there against all timesteps,
the one with the fewest timesteps. Dimensions: T timesteps, N images, C classes.
"""

from collections.abc import Callable

import numpy as np

from pipeline.evaluation.measure import Measurement

Confidence = Callable[[np.ndarray], np.ndarray]  # a method's: mean logits [T, N, C] -> confidence [T, N]
TOLERANCE = 0.5  # percentage points of held-out accuracy
CONFIDENCE_DIGITS = 9  # decimals; confidences that are equal in them count as one value


def stops(confidence: np.ndarray, threshold: float) -> np.ndarray:
    """Return the timestep, counted from 1, at which each image stops: confidence [T, N] -> int64 [N]."""
    enough = confidence >= threshold
    enough[-1] = True
    return enough.argmax(axis=0) + 1


def at_stop(values: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Pick each image's value at the timestep where it stops: values [T, N], stop [N] counted from 1 -> [N]."""
    return np.take_along_axis(values, stop[None] - 1, axis=0)[0]


def choose_threshold(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Choose the lowest threshold that loses at most TOLERANCE, from confidence and correct [T, N] of held-out images.

    It tries 0, which stops every image at once, the midpoints between neighbouring confidences of these images, and infinity,
    which stops none. A midpoint keeps every image on its side on machines whose last bits differ.
    """
    levels = np.unique(confidence[:-1].round(CONFIDENCE_DIGITS))
    for threshold in (0.0, *(levels[:-1] + levels[1:]) / 2):  # ascending: ever more timesteps
        lost = correct[-1].sum() - at_stop(correct, stops(confidence, threshold)).sum()
        if lost * 100 <= TOLERANCE * correct.shape[1]:
            return float(threshold)
    return float("inf")


def exit_stops(confidence: Confidence, test: Measurement, threshold: float | None) -> np.ndarray:
    """Return the timestep, from 1, at which each test image stops: int64 [N]. threshold None: no image stops early."""
    return stops(confidence(test.means), np.inf if threshold is None else threshold)


def read_exit(confidence: Confidence, test: Measurement, heldout: Measurement) -> dict:
    """Measure a method's early exit on the test images, with the threshold chosen on the held-out images."""
    heldout_confidence, test_confidence = confidence(heldout.means), confidence(test.means)
    threshold = choose_threshold(heldout_confidence, heldout.correct)
    stop, heldout_stop = stops(test_confidence, threshold), stops(heldout_confidence, threshold)
    return {
        "threshold": threshold if np.isfinite(threshold) else None,
        "accuracy": float(at_stop(test.correct, stop).mean() * 100),
        "timesteps": float(stop.mean()),
        "average_tokens": average_tokens(test, stop),
        "heldout_accuracy": float(at_stop(heldout.correct, heldout_stop).mean() * 100),
        "heldout_timesteps": float(heldout_stop.mean()),
    }


def average_tokens(test: Measurement, stop: np.ndarray) -> float:
    """Return the share of tokens computed, over the timesteps that images execute until they stop: stop [N] counted from 1."""
    if test.image_tokens is None:
        return 1.0
    return float(at_stop(test.image_tokens.cumsum(0), stop).sum() / stop.sum())
