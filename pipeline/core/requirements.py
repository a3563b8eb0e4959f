"""Say in words what a pydantic model asks for at a place, by its JSON schema, and give an example of it."""
# Tested in tests/pipeline/core/test_validation.py

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from pydantic import BaseModel

PLURALS = {"integer": "whole numbers", "number": "numbers", "boolean": "true or false", "string": "texts", "array": "lists"}
PHRASES = {"boolean": "true or false", "string": "a text", "null": "empty (null)"}
MOST_KEYS = 2  # of an example


@dataclass(frozen=True)
class Requirement:
    """Hold what is asked for at a place: its JSON schema, and the definitions that the schema refers to."""

    schema: dict
    definitions: dict

    @classmethod
    @cache
    def of(cls, model: type[BaseModel]) -> "Requirement":
        """Give what a model asks for."""
        schema = model.model_json_schema()
        return cls(schema, schema.get("$defs", {}))

    def at(self, loc: tuple[str | int, ...]) -> "Requirement":
        """Give what is asked for at a place below this one; of a choice between several kinds of values, the whole."""
        place = self.plain
        if not loc or "anyOf" in place.schema:
            return place
        schema, part = place.schema, loc[0]
        if len(loc) > 1 and loc[1] == "[key]":
            return Requirement(schema.get("propertyNames", {"type": "string"}), self.definitions)
        below = schema.get("items") if isinstance(part, int) else schema.get("properties", {}).get(part)
        entries = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
        below = below or next((entry for entry in entries if isinstance(entry, dict)), {})
        return Requirement(below, self.definitions).at(loc[1:])

    @cached_property
    def plain(self) -> "Requirement":
        """Give the same, with its reference followed and without null, where it may be null."""
        schema = dict(self.schema)
        branches = [branch for branch in schema.get("anyOf", ()) if branch.get("type") != "null"]
        if len(branches) == 1:
            schema = branches[0] | {key: value for key, value in schema.items() if key != "anyOf"}
        if "$ref" in schema:
            schema = self.definitions[schema.pop("$ref").rpartition("/")[2]] | schema
        return Requirement(schema, self.definitions)

    @property
    def type(self) -> str:
        """Name the kind of value as JSON schema does."""
        return self.schema.get("type", "")

    @property
    def keys(self) -> list[str]:
        """List the keys that are known here."""
        return list(self.schema.get("properties", {}))

    @property
    def choices(self) -> list:
        """List the values that are allowed, where these are listed."""
        return self.schema.get("enum", [self.schema["const"]] if "const" in self.schema else [])

    @property
    def needs_example(self) -> bool:
        """Say whether words alone don't show how it is written."""
        low, high = self.limits
        fixed = low is not None and low == high
        return bool(self.type) and not self.choices and not fixed and self.type not in ("boolean", "null")

    def phrase(self) -> str:
        """Say what a value must be: its field's own description where it has one."""
        schema = self.schema
        if "description" in schema and "properties" not in schema:
            return schema["description"]
        if self.choices:
            choices = [str(choice) for choice in self.choices]
            return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
        if "anyOf" in schema:
            return " or ".join(Requirement(branch, self.definitions).plain.phrase() for branch in schema["anyOf"])
        if self.type in ("integer", "number"):
            return self.number_phrase()
        if self.type == "array":
            items = Requirement(schema.get("items", {}), self.definitions).plain.type
            return f"a list of {PLURALS.get(items, 'values')}"
        if self.type == "object":
            return "keys with values" if "properties" in schema else "names with values"
        return PHRASES.get(self.type, "another value")

    def phrase_with_length(self) -> str:
        """Say what a list must be, with the number of its items."""
        low, high = self.schema.get("minItems", 0), self.schema.get("maxItems")
        return f"{self.phrase()}, {low} {f'to {high}' if high else 'or more'} of them"

    def number_phrase(self) -> str:
        """Say what a number must be, with its limits."""
        step, (low, high) = self.schema.get("multipleOf"), self.limits
        noun = "a whole number" if self.type == "integer" else "a number"
        noun = "an even whole number" if step == 2 else f"a multiple of {step}" if step else noun
        above, below = self.schema.get("exclusiveMinimum"), self.schema.get("exclusiveMaximum")
        if low is not None and high is not None:
            return f"{noun} from {low:,} to {high:,}"
        lower = f" of at least {low:,}" if low is not None else f" above {above:,}" if above is not None else ""
        upper = f" of at most {high:,}" if high is not None else f" below {below:,}" if below is not None else ""
        return noun + (" and".join((lower, upper)) if lower and upper else lower + upper)

    @property
    def limits(self) -> tuple[int | float | None, int | float | None]:
        """Give the least and the largest number that is allowed; None where there is none."""
        low, high = self.schema.get("minimum"), self.schema.get("maximum")
        if self.type != "integer":
            return low, high
        step, above, below = (
            self.schema.get("multipleOf", 1),
            self.schema.get("exclusiveMinimum"),
            self.schema.get("exclusiveMaximum"),
        )
        low = low if above is None else above + 1
        high = high if below is None else below - 1
        return None if low is None else math.ceil(low / step) * step, high

    @property
    def example(self) -> Any:
        """Give a value that fits: the model's own example, else the default, else one that is made up."""
        schema = self.schema
        if schema.get("examples"):
            return schema["examples"][0]
        if schema.get("default") not in (None, {}, []):
            return schema["default"]
        if self.type == "array":
            return [Requirement(schema.get("items", {}), self.definitions).plain.example]
        if self.type == "object":
            return self.example_of_keys()
        low, high = self.limits
        numbers = {"integer": low if low is not None else high if high is not None else 1}
        numbers["number"] = 0.5 if low is None and high is None else (low if low is not None else high)
        return (self.choices or [numbers.get(self.type, "name")])[0]

    def example_of_keys(self) -> dict:
        """Give keys with values that fit: those that are required, else the first."""
        properties = self.schema.get("properties")
        if properties:
            keys = (self.schema.get("required") or list(properties))[:MOST_KEYS]
            return {key: self.at((key,)).example for key in keys}
        entry = self.at(("name",))
        return {"name": entry.example} if entry.schema else {"name": 1}
