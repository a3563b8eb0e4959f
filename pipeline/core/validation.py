"""Build models from what a user wrote, and say in a user's words what is asked for where a value does not fit.

A number is no text, no truth value and, where it is whole, no fraction: nothing is converted.
"""

import difflib
import json
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.core.errors import UserError, nearest
from pipeline.core.requirements import Requirement

MOST_FAULTS = 20  # that one message lists
LONGEST_VALUE = 60  # characters of a value that a message shows
PYDANTIC_PREFIX = "Value error, "  # pydantic's prefix of a ValueError that one of our validators raised
LENGTH_FAULTS = ("too_short", "too_long")
TRUTH = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}  # texts that are meant as truth values

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], content: Any, kind: str = "") -> Model:
    """Build a model from content of a file. Raises UserError with every fault, and the nearest valid name where one is unknown.

    `kind`: what messages call a value, before its name: option, setting.
    """
    try:
        return model.model_validate_json(json.dumps(content), strict=True)  # as JSON, a list can become a tuple even so
    except ValidationError as error:
        requirement, places = Requirement.of(model), {fault["loc"][:-1] for fault in error.errors()}
        faults = [f for f in error.errors() if f["type"] not in LENGTH_FAULTS or f["loc"] not in places]  # a list of bad items
        texts = dict.fromkeys(describe_fault(fault, requirement, kind) for fault in faults)
        raise UserError("; ".join([*texts][:MOST_FAULTS])) from error


def describe_fault(fault: dict, requirement: Requirement, kind: str) -> str:
    """Put one of pydantic's faults into words: the key, what it must be, an example and what it is."""
    if fault["type"] == "value_error":
        return fault["msg"].removeprefix(PYDANTIC_PREFIX)
    if fault["type"] == "json_invalid":
        return "a text holds half of a character (\\ud800 to \\udfff): take it out"
    loc = fault["loc"]
    while loc and "anyOf" in requirement.at(loc[:-1]).schema:
        loc = loc[:-1]  # within a choice between kinds of values, pydantic names the kind that it tried
    if fault["type"] == "extra_forbidden":
        known = requirement.at(loc[:-1]).keys
        return f"unknown {kind or 'key'} {dotted(loc)}: {nearest(str(loc[-1]), known)}"
    wanted = requirement.at(loc)
    if loc and loc[-1] == "[key]":
        return f"the key {shown(fault['input'])} in {dotted(loc[:-2]) or 'the file'} must be {wanted.phrase()}"
    name = f"{kind} {dotted(loc)}".strip() or "the file"
    text = wanted.phrase_with_length() if fault["type"] in LENGTH_FAULTS else wanted.phrase()
    example = f", as in {written(wanted.example)}" if wanted.needs_example else ""
    if fault["type"] == "missing":
        return f"{name} is missing: it must be {text}{example}"
    return f"{name} must be {text}{example}, but is {shown(fault['input'])}{hint(wanted, fault['input'])}"


def hint(wanted: Requirement, value: Any) -> str:
    """Say how a value is written that was meant, where one can tell."""
    if isinstance(value, str) and (close := difflib.get_close_matches(value, map(str, wanted.choices), n=1)):
        return f": did you mean {close[0]!r}?"
    if isinstance(value, str) and wanted.type == "boolean" and value.lower() in TRUTH:
        return f": write {written(TRUTH[value.lower()])}"
    if wanted.type in ("integer", "number") and isinstance(value, str | float):
        try:
            number = float(value)
        except ValueError:
            return ""
        low, high = wanted.limits
        if (low is not None and number < low) or (high is not None and number > high):
            return ""
        if number.is_integer() and abs(number) < 2**53:
            return f": write {int(number)}" if isinstance(value, str) or wanted.type == "integer" else ""
        return f": write {written(number)}" if isinstance(value, str) and wanted.type == "number" and abs(number) < 1e300 else ""
    return ""


def written(value: Any) -> str:
    """Write a value as it stands in a YAML file, in one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{written(key)}: {written(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("...").strip()


def shown(value: Any) -> str:
    """Write a value that a user gave, shortened: texts in quotes."""
    if value is None:
        return "empty (null)"
    text = repr(value) if isinstance(value, str) else written(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def dotted(loc: tuple[str | int, ...]) -> str:
    """Join the parts of a place in a file by dots; a part that is no plain name stands in quotes."""
    parts = (str(part) for part in loc if part != "[key]")
    return ".".join(part if part.replace("_", "").replace("-", "").isalnum() else shown(part) for part in map(shortened, parts))


def shortened(text: str) -> str:
    """Cut a long text."""
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
