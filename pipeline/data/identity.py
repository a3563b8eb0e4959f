"""Identify a data set as the declaration uses it: its id is its folder's name."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.checksums import digest

PREPARED = Path("data/prepared")


@dataclass(frozen=True)
class Data:
    """A data set as the declaration uses it: where it comes from and how much of it."""

    name: str
    fingerprint: str  # of the source: two sources with the same one hold the same images
    origin: str  # in words, for tables
    official: bool
    train: int | None
    test: int | None

    @property
    def id(self) -> str:
        return f"{self.name}-{digest([self.fingerprint, self.train, self.test])}"

    @property
    def folder(self) -> Path:
        return PREPARED / self.id
