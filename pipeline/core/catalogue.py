"""Find methods, data sets, backbones and figures by the names of their files, and validate what a declaration chooses of each.

The commands fill a catalogue (`pipeline.command_line`) and hand it down; nothing else imports by name. Imports no torch.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.core.errors import UserError, nearest

PYDANTIC_PREFIX = "Value error, "  # of what a validator of ours raises


@dataclass(frozen=True)
class Shelf:
    """The modules of a package that are of one kind, by name: its files or, where a file is named, its folders that hold that file."""

    package: ModuleType
    kind: str  # what one is called in messages
    holding: str = ""

    @cached_property
    def names(self) -> list[str]:
        found = [module.name for module in pkgutil.iter_modules(self.package.__path__)]
        folders = [Path(place) for place in self.package.__path__]
        return [name for name in found if not self.holding or any((place / name / self.holding).is_file() for place in folders)]

    def __getitem__(self, name: str) -> ModuleType:
        """Import a module by its name. Raises UserError with the nearest known name."""
        if name not in self.names:
            raise UserError(f"{self.kind} {name!r} is unknown: {nearest(name, self.names)}")
        return importlib.import_module(f"{self.package.__name__}.{name}")


@dataclass(frozen=True)
class Catalogue:
    """All that a declaration can name; the contract of each kind is in the docstring of its package."""

    methods: Shelf
    datasets: Shelf
    backbones: Shelf
    figures: Shelf

    def method_options(self, name: str, options: dict[str, Any]) -> BaseModel:
        """Validate a method's options by its own model. Raises UserError with the nearest valid name."""
        return validated(self.methods[name].Options, options, f"method {name}", "option")

    def network_settings(self, name: str, settings: dict[str, Any]) -> BaseModel:
        """Validate the settings of a backbone's network by its own model, which refuses what can't be built."""
        return validated(self.backbones[name].Settings, settings, f"backbone {name}", "setting")

    def architecture(self, name: str, settings: BaseModel) -> str:
        """Name a network as tables do: Spikformer-4-384."""
        return f"{self.backbones[name].TITLE}-{settings.size}"

    def probe_settings(self, name: str, settings: dict[str, Any]) -> BaseModel:
        """Validate the settings of what a figure measures of a network, by its own model."""
        figure = self.figures[name]
        if not hasattr(figure, "measure"):
            raise UserError(f"figure {name!r} measures nothing by itself, so it can't be a probe")
        return validated(figure.Settings, settings, f"probe {name}", "setting")


def validated(model: type[BaseModel], values: dict[str, Any], where: str, what: str) -> BaseModel:
    """Make a model of values. Raises UserError that names each fault, and the nearest valid name where one is unknown."""
    try:
        return model(**values)
    except ValidationError as error:
        faults = "; ".join(explained(fault, model, what) for fault in error.errors())
        raise UserError(f"{where}: {faults}") from error


def explained(fault: dict, model: type[BaseModel], what: str) -> str:
    """Say one of pydantic's faults in words."""
    key = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        return f"unknown {what} {key}: {nearest(key, model.model_fields)}"
    if fault["msg"].startswith(PYDANTIC_PREFIX):
        return fault["msg"].removeprefix(PYDANTIC_PREFIX)
    return f"{what} {key}: {fault['msg'].lower()}"
