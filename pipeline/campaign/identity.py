"""Identify runs and evaluations: an id is a path. Imports no torch.

An id is a label, the seed and 8 hex digits of the digest of every field that changes numbers, the parent's id and the
data's fingerprint among them. Another seed is another path, another parent makes other children.

Ids stay as the code grows: a field that is added later, to a recipe, a network, a method's options, an evaluation or a probe's
settings, names the value that stands for how it was before, and is no part of an id while it has that value:
`Field(default=..., json_schema_extra={"before": ...})`.
"""

from dataclasses import asdict, dataclass, field
from functools import cached_property

from pydantic import BaseModel

from pipeline.core.checksums import digest
from pipeline.data.identity import Data

NUMERICS = 2  # raised by any change of the code that moves a trained number; CHANGELOG says why
BEFORE = "before"  # in the json_schema_extra of a field that was added later: the value that stands for how it was before
PARTS = ("options", "network", "recipe")  # of a run: models with fields of their own


def is_as_before(model: BaseModel, name: str) -> bool:
    """Check that a field was added later, and has the value that stands for how it was before."""
    extra = type(model).model_fields[name].json_schema_extra
    return isinstance(extra, dict) and BEFORE in extra and hashed(getattr(model, name)) == hashed(extra[BEFORE])


def hashed(value: object, mode: str = "python") -> object:
    """Turn models, at every depth, into what an id is made of: all fields, as pydantic dumps them, but those that are as before."""
    if isinstance(value, BaseModel):
        return pruned(value, value.model_dump(mode=mode))
    if isinstance(value, dict):
        return {key: hashed(x, mode) for key, x in value.items()}
    return [hashed(x, mode) for x in value] if isinstance(value, tuple | list) else value


def pruned(value: object, dumped: object) -> object:
    """Leave out of a dumped value the fields that are as before."""
    if isinstance(value, BaseModel):
        return {name: pruned(getattr(value, name), dumped[name]) for name in dumped if not is_as_before(value, name)}
    if isinstance(value, dict):
        return {key: pruned(x, dumped[key]) for key, x in value.items()}
    return [pruned(x, y) for x, y in zip(value, dumped)] if isinstance(value, tuple | list) else dumped


def other_fields(model: BaseModel, resolved: set[str]) -> dict:
    """Give what an id is made of of a declared entry, but for the fields that are resolved elsewhere.

    Empty today; a field that is added to the entry is part of ids by itself, unless it is as before.
    """
    return {name: value for name, value in hashed(model).items() if name not in resolved}


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
    architecture: str = ""  # the network's name in tables
    hashed: dict = field(
        default_factory=dict
    )  # options, network and recipe as `hashed` gives them; as they are, where it lacks them
    others: dict = field(default_factory=dict)  # `other_fields` of the declared run

    @property
    def identity(self) -> dict:
        """Every field that changes numbers."""
        parts = {part: self.hashed.get(part, getattr(self, part)) for part in PARTS}
        fields = {"seed": self.seed, "method": self.method, **parts, "threads": self.threads, "precision": self.precision}
        fields |= {"data": self.data.id, "parent": self.parent.id if self.parent else None, "numerics": NUMERICS}
        return fields | ({"others": self.others} if self.others else {})

    @cached_property
    def id(self) -> str:
        return f"{self.label}-s{self.seed}-{digest(self.identity)}"


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
    hashed: dict = field(default_factory=dict)  # options and settings as `hashed` gives them; as they are, where it lacks them
    others: dict = field(default_factory=dict)  # `other_fields` of the declared evaluation

    @property
    def hashed_options(self) -> dict:
        """Give the options as they stand in ids."""
        return self.hashed.get("options", self.options)

    @cached_property
    def id(self) -> str:
        settings = self.hashed.get("settings", self.settings)
        fields = [self.run.id, self.timesteps, self.hashed_options, self.exits, self.probe, settings, NUMERICS]
        return f"{self.name}-s{self.run.seed}-{digest(fields + ([self.others] if self.others else []))}"


def describe(run: Run) -> dict:
    """Describe a run by all that its id is made of, as its folder keeps it."""
    origin = asdict(run.data) | {"id": run.data.id}
    return {"id": run.id, "label": run.label, **run.identity, "data": origin}
