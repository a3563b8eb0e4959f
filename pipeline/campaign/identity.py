"""Runs, evaluations and data with their identity, which is their path. Imports no torch.

An id is a label, the seed and 8 hex digits of the digest of every field that changes numbers, the parent's id and the
data's fingerprint among them. Another seed is another path, another parent makes other children.
"""

from dataclasses import asdict, dataclass, field
from functools import cached_property

from pipeline.core.checksums import digest
from pipeline.data.identity import Data

NUMERICS = 2  # raised by any change of the code that moves a trained number; CHANGELOG says why
BACKBONES = {"spikformer": "Spikformer", "spikingformer": "Spikingformer", "vit": "ViT"}  # classes, in models/<name>.py


@dataclass(frozen=True)
class Run:
    """One training: a declared run with one seed."""

    label: str
    seed: int
    method: str
    options: dict
    data: Data
    network: dict
    recipe: dict
    threads: int
    precision: str
    parent: "Run | None"

    @property
    def identity(self) -> dict:
        """Every field that changes numbers."""
        fields = {key: getattr(self, key) for key in ("seed", "method", "options", "network", "recipe", "threads", "precision")}
        return fields | {"data": self.data.id, "parent": self.parent.id if self.parent else None, "numerics": NUMERICS}

    @cached_property
    def id(self) -> str:
        return f"{self.label}-s{self.seed}-{digest(self.identity)}"

    @property
    def architecture(self) -> str:
        return f"{BACKBONES[self.network['backbone']]}-{self.network['depth']}-{self.network['width']}"


@dataclass(frozen=True)
class Evaluation:
    """One pass of a run's final weights over the test images, and over those held out where exits need a threshold.

    One with a `probe` is what the figure of that name measures instead.
    """

    name: str
    run: Run
    timesteps: int
    options: dict
    exits: tuple[str, ...]
    probe: str | None = None
    settings: dict = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        fields = [self.run.id, self.timesteps, self.options, self.exits, self.probe, self.settings, NUMERICS]
        return f"{self.name}-s{self.run.seed}-{digest(fields)}"


def describe(run: Run) -> dict:
    """A run's declaration in full, as its folder keeps it."""
    origin = asdict(run.data) | {"id": run.data.id}
    return {"id": run.id, "label": run.label, **run.identity, "data": origin}
