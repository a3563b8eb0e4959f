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
    return isinstance(extra, dict) and BEFORE in extra and getattr(model, name) == extra[BEFORE]


def unhashed_fields(**models: BaseModel) -> frozenset[str]:
    """Name the fields of models that are no part of an id, as `<part>.<field>`."""
    return frozenset(
        f"{part}.{name}" for part, model in models.items() for name in type(model).model_fields if is_as_before(model, name)
    )


def added_fields(model: BaseModel) -> dict:
    """Give the fields of a model that were added later and are not as before, with their values."""
    extras = {name: field.json_schema_extra for name, field in type(model).model_fields.items()}
    later_fields = [name for name, extra in extras.items() if isinstance(extra, dict) and BEFORE in extra]
    return {name: hashed(getattr(model, name)) for name in later_fields if not is_as_before(model, name)}


def hashed(value: object) -> object:
    """Turn models, at every depth, into what an id is made of: all fields but those that are as before."""
    if isinstance(value, BaseModel):
        return {name: hashed(getattr(value, name)) for name in type(value).model_fields if not is_as_before(value, name)}
    if isinstance(value, dict):
        return {key: hashed(x) for key, x in value.items()}
    return [hashed(x) for x in value] if isinstance(value, tuple | list) else value


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
    unhashed: frozenset[str] = frozenset()  # of `unhashed_fields`

    @property
    def identity(self) -> dict:
        """Collect every field that changes numbers."""
        parts = {part: without(getattr(self, part), part, self.unhashed) for part in PARTS}
        fields = {"seed": self.seed, "method": self.method, **parts, "threads": self.threads, "precision": self.precision}
        return fields | {"data": self.data.id, "parent": self.parent.id if self.parent else None, "numerics": NUMERICS}

    @cached_property
    def id(self) -> str:
        """Build the id from label, seed and digest."""
        return f"{self.label}-s{self.seed}-{digest(self.identity)}"


def without(values: dict, part: str, unhashed: frozenset[str]) -> dict:
    """Leave out the fields of a part that are no part of an id."""
    return {name: value for name, value in values.items() if f"{part}.{name}" not in unhashed}


@dataclass(frozen=True)
class Evaluation:
    """One pass of a run's final weights over the test images, and over those held out where exits need a threshold.

    With a `probe`, it is instead the measurement that the figure of that name makes of these weights.
    """

    name: str
    run: Run
    timesteps: int
    options: dict
    exits: tuple[str, ...]
    probe: str | None = None
    settings: dict = field(default_factory=dict)
    added: dict = field(default_factory=dict)  # fields of the declaration that were added later, where they are not as before
    unhashed: frozenset[str] = frozenset()  # of `unhashed_fields`

    @property
    def hashed_options(self) -> dict:
        """Give the options that are part of the id."""
        return without(self.options, "options", self.unhashed)

    @cached_property
    def id(self) -> str:
        """Build the id from name, seed and digest."""
        settings = without(self.settings, "settings", self.unhashed)
        fields = [self.run.id, self.timesteps, self.hashed_options, self.exits, self.probe, settings, NUMERICS]
        return f"{self.name}-s{self.run.seed}-{digest(fields + ([self.added] if self.added else []))}"


def describe(run: Run) -> dict:
    """Describe a run by all that its id is made of, as its folder keeps it."""
    origin = asdict(run.data) | {"id": run.data.id}
    return {"id": run.id, "label": run.label, **run.identity, "data": origin}
