"""Identify a data set as the declaration uses it, by an id that is also the name of its folder."""
# Tested in tests/pipeline/campaign/test_identity.py

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.checksums import digest

PREPARED = Path("data/prepared")


@dataclass(frozen=True)
class Data:
    """A data set as the declaration uses it: its source and how many images."""

    name: str
    fingerprint: str  # of the source: sources with the same fingerprint hold the same images
    origin: str  # in words, for tables
    official: bool
    train: int | None
    test: int | None

    @property
    def id(self) -> str:
        """Derive the id from name, fingerprint and numbers of images."""
        return f"{self.name}-{digest([self.fingerprint, self.train, self.test])}"

    @property
    def folder(self) -> Path:
        """Name the folder of the prepared data set."""
        return PREPARED / self.id
