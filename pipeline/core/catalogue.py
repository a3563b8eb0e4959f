"""Methods, data sets and figures, found by their file names. Imports no torch."""

import importlib
import pkgutil
from typing import Any

from pydantic import ValidationError

from pipeline.campaign.identity import BACKBONES
from pipeline.core.errors import UserError, nearest


def method(name: str):
    """The module baselines/<name>.py. Raises UserError with the nearest known name."""
    return discovered("baselines", name, "method")


def backbones(name: str) -> tuple[str, ...]:
    """The backbones that a method runs on: all, where it names none."""
    return getattr(method(name), "BACKBONES", tuple(BACKBONES))


def discovered(package: str, name: str, what: str):
    """A module found by its file name."""
    folder = importlib.import_module(package)
    names = [module.name for module in pkgutil.iter_modules(folder.__path__)]
    if name not in names:
        raise UserError(f"{what} {name!r} is unknown: {nearest(name, names)}")
    return importlib.import_module(f"{package}.{name}")


def method_options(name: str, options: dict[str, Any]):
    """A method's options, validated by its own model. Raises UserError with the nearest valid name."""
    return validated(method(name).Options, options, f"method {name}", "option")


def probe_settings(name: str, settings: dict[str, Any]):
    """What a figure measures of a network, validated by its own model."""
    figure = discovered("pipeline.reporting.figures", name, "figure")
    if not hasattr(figure, "measure"):
        raise UserError(f"figure {name!r} measures nothing by itself, so it can't be a probe")
    return validated(figure.Settings, settings, f"probe {name}", "setting")


def validated(allowed: type, values: dict[str, Any], where: str, what: str):
    try:
        return allowed(**values)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            key = str(fault["loc"][0]) if fault["loc"] else f"{what}s"
            unknown = fault["type"] == "extra_forbidden"
            faults.append(
                f"unknown {what} {key}: {nearest(key, allowed.model_fields)}"
                if unknown
                else f"{what} {key}: {fault['msg'].lower()}"
            )
        raise UserError(f"{where}: {'; '.join(faults)}") from error
