"""Where images come from: what a data set's file says about its source, and safe ways to read an archive."""

from dataclasses import dataclass

import numpy as np

HELD_OUT = 1000  # class-balanced training images that no run trains on; whatever is chosen is chosen on them


@dataclass(frozen=True)
class Source:
    fingerprint: str  # two sources with the same one hold the same images
    origin: str  # in words, for every table that shows numbers from it
    official: bool


def unofficial(title: str, fingerprint: str, share: str = "") -> Source:
    """Images that are not known to be the official ones; `share` says how many of them there are, where it is not all."""
    parts = ["a copy", "not the official archive", *([share] if share else []), f"sha256 {fingerprint[:8]}"]
    return Source(fingerprint, f"{title} ({', '.join(parts)})", official=False)


@dataclass(frozen=True)
class Raw:
    """Images as a source has them: uint8 [N, H, W, 3], labels int64 [N], masks bool [N, H, W] where the set has them."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    train_masks: np.ndarray | None = None
    test_masks: np.ndarray | None = None
