"""Early exit: each image stops at the first timestep where it is confident enough; the last one always stops.

The threshold is chosen on held-out images: of all that lose at most TOLERANCE points there against all timesteps, the one
with the fewest. Dimensions: T timesteps, N images, C classes.
"""

from collections.abc import Callable

import numpy as np

from pipeline.evaluation.measure import Measurement

Confidence = Callable[[np.ndarray], np.ndarray]  # a method's, of mean logits [T, N, C]: [T, N]
TOLERANCE = 0.5  # percentage points of held-out accuracy
SEEN_DIGITS = 9  # confidences closer than that are one


def stops(confidence: np.ndarray, threshold: float) -> np.ndarray:
    """The timestep, counted from 1, at which each image stops: confidence [T, N] -> int64 [N]."""
    enough = confidence >= threshold
    enough[-1] = True
    return enough.argmax(axis=0) + 1


def at_stop(values: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """What belongs to the timestep where each image stops: [T, N], [N] -> [N]."""
    return np.take_along_axis(values, stop[None] - 1, axis=0)[0]


def choose_threshold(confidence: np.ndarray, correct: np.ndarray) -> float:
    """The threshold for TOLERANCE, from confidence and correct [T, N] of held-out images.

    Tried are 0, which stops all at once, infinity, which stops none, and what lies midway between the confidences that
    were seen: a last bit that differs elsewhere then moves no image over it.
    """
    seen = np.unique(confidence[:-1].round(SEEN_DIGITS))
    for threshold in (0.0, *(seen[:-1] + seen[1:]) / 2):  # ascending: ever more timesteps
        lost = correct[-1].sum() - at_stop(correct, stops(confidence, threshold)).sum()
        if lost * 100 <= TOLERANCE * correct.shape[1]:
            return float(threshold)
    return float("inf")


def exit_stops(confidence: Confidence, test: Measurement, threshold: float | None) -> np.ndarray:
    """The timestep, from 1, at which each test image stops by a method's exit: int64 [N]; None: no threshold is high enough."""
    return stops(confidence(test.means), np.inf if threshold is None else threshold)


def read_exit(confidence: Confidence, test: Measurement, heldout: Measurement) -> dict:
    """What the exit of a method gives on the test images, with the threshold that the held-out images chose."""
    held, seen = confidence(heldout.means), confidence(test.means)
    threshold = choose_threshold(held, heldout.correct)
    stop, heldout_stop = stops(seen, threshold), stops(held, threshold)
    return {
        "threshold": threshold if np.isfinite(threshold) else None,
        "accuracy": float(at_stop(test.correct, stop).mean() * 100),
        "timesteps": float(stop.mean()),
        "average_tokens": average_tokens(test, stop),
        "heldout_accuracy": float(at_stop(heldout.correct, heldout_stop).mean() * 100),
        "heldout_timesteps": float(heldout_stop.mean()),
    }


def average_tokens(test: Measurement, stop: np.ndarray) -> float:
    """Share of the tokens computed in the timesteps that were executed."""
    if test.image_tokens is None:
        return 1.0
    return float(at_stop(test.image_tokens.cumsum(0), stop).sum() / stop.sum())
