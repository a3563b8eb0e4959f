"""Describe the source of a data set's images, and hold the images read from it."""
# Tested in tests/pipeline/data/test_prepared.py

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import UserError

HELD_OUT = 1000  # class-balanced training images that no run trains on: all choices are made on them


@dataclass(frozen=True)
class Source:
    """Origin of the images of a data set."""

    fingerprint: str  # sources with the same fingerprint hold the same images
    origin: str  # in words, for every table that shows numbers from it
    official: bool


class NotHere(UserError):
    """A folder that does not hold a data set; another one may."""

    def __init__(self, title: str, folder: Path, found: str, wanted: str):
        super().__init__(f"no {title} in {folder}: {found}; {wanted}")
        self.title, self.folder, self.found, self.wanted = title, folder, found, wanted


def unofficial(title: str, fingerprint: str, share: str = "") -> Source:
    """Describe images that are not known to be the official ones; `share` says how many there are, where it is not all."""
    parts = ["a copy", "not the official archive", *([share] if share else []), f"sha256 {fingerprint[:8]}"]
    return Source(fingerprint, f"{title} ({', '.join(parts)})", official=False)


@dataclass(frozen=True)
class Raw:
    """All images of a source: uint8 [N, H, W, 3], labels int64 [N], object masks bool [N, H, W] where the set has them."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    train_masks: np.ndarray | None = None
    test_masks: np.ndarray | None = None
