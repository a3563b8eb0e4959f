"""Find methods, data sets, backbones and figures by their file names, and validate what a declaration chooses of each.

The commands build a catalogue (`pipeline.command_line`) and pass it on; nothing else in `pipeline` imports by name. Imports no torch.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from pipeline.core.errors import UserError, nearest
from pipeline.core.validation import validated


@dataclass(frozen=True)
class Shelf:
    """The modules of one kind in a package, by name: its files or, where `holding` names a file, its folders that hold it."""

    package: ModuleType
    kind: str  # of a module, as messages call it
    holding: str = ""

    @cached_property
    def names(self) -> list[str]:
        """List the names of the modules."""
        modules = [module.name for module in pkgutil.iter_modules(self.package.__path__)]
        folders = [Path(folder) for folder in self.package.__path__]
        return [
            name for name in modules if not self.holding or any((folder / name / self.holding).is_file() for folder in folders)
        ]

    def __getitem__(self, name: str) -> ModuleType:
        """Import a module by its name. Raises UserError with the nearest known name where it is unknown."""
        if name not in self.names:
            raise UserError(f"{self.kind} {name!r} is unknown: {nearest(name, self.names)}")
        return importlib.import_module(f"{self.package.__name__}.{name}")


@dataclass(frozen=True)
class Catalogue:
    """The methods, data sets, backbones and figures that a declaration can name; each package's docstring has their contract."""

    methods: Shelf
    datasets: Shelf
    backbones: Shelf
    figures: Shelf

    def method_options(self, name: str, options: dict[str, Any]) -> BaseModel:
        """Validate a method's options by its own pydantic model. Raises UserError for each fault, with the nearest valid name."""
        return validate(self.methods[name].Options, options, f"method {name}", "option")

    def network_settings(self, name: str, settings: dict[str, Any]) -> BaseModel:
        """Validate the settings of a backbone's network by its model. Raises UserError where they allow no network."""
        return validate(self.backbones[name].Settings, settings, f"backbone {name}", "setting")

    def architecture(self, name: str, settings: BaseModel) -> str:
        """Name a network as tables do, for example Spikformer-4-384."""
        return f"{self.backbones[name].TITLE}-{settings.size}"

    def probe_settings(self, name: str, settings: dict[str, Any]) -> BaseModel:
        """Validate the settings of a figure's own measurement by its model. Raises UserError where it measures nothing."""
        figure = self.figures[name]
        if not hasattr(figure, "measure"):
            raise UserError(f"figure {name!r} measures nothing by itself, so it can't be a probe")
        return validate(figure.Settings, settings, f"probe {name}", "setting")


def validate(model: type[BaseModel], values: dict[str, Any], where: str, kind: str) -> BaseModel:
    """Build a model from values. Raises UserError with every fault; `kind` is what messages call a value: option, setting."""
    try:
        return validated(model, values, kind)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
