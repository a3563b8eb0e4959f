"""What a model asks for is told in words with an example, and nothing is converted to fit it."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.core.errors import UserError
from pipeline.core.requirements import Requirement
from pipeline.core.validation import dotted, shown, validated, written


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = Field(ge=1)
    name: Annotated[str, Field(pattern="^[a-z]+$", max_length=9, description="a word")] = "x"


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    count: int = Field(default=4, gt=0, lt=10)
    pairs: int | None = Field(default=None, gt=1, multiple_of=2, examples=[8])
    share: float = Field(default=0.5, ge=0, lt=1)
    rate: float = Field(default=0.1, gt=0)
    low: float = Field(default=-1, le=0)
    on: bool = True
    kind: Literal["one", "two"] = "one"
    fixed: Literal[0] = 0
    either: int | str = 1
    counts: tuple[int, ...] = Field(default=(1, 2), min_length=1)
    rows: tuple[tuple[float, ...], ...] = ()
    parts: dict[Annotated[str, Field(pattern="^[a-z]+$", description="a word")], Part] = {}
    first: Part | None = None
    text: str = "words"

    @field_validator("count")
    @classmethod
    def _is_not_seven(cls, count):
        if count == 7:
            raise ValueError("count 7 is unlucky: take 8")
        return count


@pytest.mark.parametrize(
    "content, message",
    (
        ({"count": 0}, "count must be a whole number from 1 to 9, as in 4, but is 0"),
        ({"count": True}, "count must be a whole number from 1 to 9, as in 4, but is true"),
        ({"count": 5.0}, "count must be a whole number from 1 to 9, as in 4, but is 5.0: write 5"),
        ({"count": "5"}, "count must be a whole number from 1 to 9, as in 4, but is '5': write 5"),
        ({"count": None}, "count must be a whole number from 1 to 9, as in 4, but is empty (null)"),
        ({"count": 7}, "count 7 is unlucky: take 8"),
        ({"pairs": 3}, "pairs must be an even whole number of at least 2, as in 8, but is 3"),
        ({"share": 1}, "share must be a number of at least 0 and below 1, as in 0.5, but is 1"),
        ({"share": "0.25"}, "share must be a number of at least 0 and below 1, as in 0.5, but is '0.25': write 0.25"),
        ({"rate": float("inf")}, "rate must be a number above 0, as in 0.1, but is .inf"),
        ({"rate": "nan"}, "rate must be a number above 0, as in 0.1, but is 'nan'"),
        ({"low": 1}, "low must be a number of at most 0, as in -1, but is 1"),
        ({"on": 1}, "on must be true or false, but is 1"),
        ({"on": "Off"}, "on must be true or false, but is 'Off': write false"),
        ({"kind": "tow"}, "kind must be one of one, two, but is 'tow': did you mean 'two'?"),
        ({"kind": ["one"]}, "kind must be one of one, two, but is [one]"),
        ({"fixed": 1}, "fixed must be 0, but is 1"),
        ({"either": 0.5}, "either must be a whole number or a text, but is 0.5"),
        ({"counts": 3}, "counts must be a list of whole numbers, as in [1, 2], but is 3"),
        ({"counts": "12"}, "counts must be a list of whole numbers, as in [1, 2], but is '12'"),
        ({"counts": []}, "counts must be a list of whole numbers, 1 or more of them, as in [1, 2], but is []"),
        ({"counts": [1, "x"]}, "counts.1 must be a whole number, as in 1, but is 'x'"),
        ({"rows": [1]}, "rows.0 must be a list of numbers, as in [0.5], but is 1"),
        ({"rows": {}}, "rows must be a list of lists, as in [[0.5]], but is {}"),
        ({"parts": []}, "parts must be names with values, as in {name: {size: 1}}, but is []"),
        ({"parts": {"a": {}}}, "parts.a.size is missing: it must be a whole number of at least 1, as in 1"),
        ({"parts": {"a": {"size": 1, "nmae": "b"}}}, "unknown key parts.a.nmae: did you mean 'name'?"),
        ({"parts": {"a": {"size": 1, "name": "B"}}}, "parts.a.name must be a word, as in x, but is 'B'"),
        ({"parts": {"A b": {"size": 1}}}, "the key 'A b' in parts must be a word"),
        ({"first": {"size": "x"}}, "first.size must be a whole number of at least 1, as in 1, but is 'x'"),
        ({"text": 5}, "text must be a text, as in words, but is 5"),
        ({"text": "x", "cuont": 3}, "unknown key cuont: did you mean 'count'?"),
        ({"": 3}, "unknown key '': known: "),
        ([], "the file must be keys with values, as in {count: 4, pairs: 8}, but is []"),
    ),
)
def test_a_fault_is_told_by_key_requirement_example_and_value(content, message):
    with pytest.raises(UserError) as error:
        validated(Whole, content)
    assert str(error.value).startswith(message) and (str(error.value) == message or message.endswith("known: "))


def test_all_faults_are_told_at_once_with_the_kind_of_value():
    with pytest.raises(UserError) as error:
        validated(Whole, {"count": 0, "on": 2, "x": 1}, "option")
    assert str(error.value) == (
        "option count must be a whole number from 1 to 9, as in 4, but is 0; option on must be true or false, but is 2; "
        "unknown option x: known: count, counts, either, first, fixed, kind, low, on, pairs, parts, rate, rows, share, text"
    )


def test_what_fits_is_built_and_a_whole_number_fits_where_any_is_asked_for():
    whole = validated(Whole, {"counts": [3], "rate": 2, "rows": [[1, 0.5]], "parts": {"a": {"size": 1}}, "first": None})
    assert whole.counts == (3,) and whole.rows == ((1.0, 0.5),) and whole.parts["a"] == Part(size=1)
    assert whole.rate == 2.0 and isinstance(whole.rate, float)


def test_every_float_comes_through_as_it_is():
    for number in (0.1, 1e-310, 1.7976931348623157e308, 2 / 3, 5e-324):
        assert validated(Whole, {"rate": number}).rate == number


def test_values_and_places_are_written_in_one_short_line():
    assert written({"a": [1, 0.5, None, True, "x"]}) == "{a: [1, 0.5, null, true, x]}" and written("1") == "'1'"
    assert shown("a\nb") == r"'a\nb'" and len(shown("x" * 10**6)) < 80 and len(shown([1] * 10**4)) < 80
    assert dotted(("a", 1, "b c", "")) == "a.1.'b c'.''" and len(dotted(("x" * 1000,))) < 80


@pytest.mark.parametrize(
    "loc, example", ((("count",), 4), (("rows",), [[0.5]]), (("parts",), {"name": {"size": 1}}), (("first",), {"size": 1}))
)
def test_the_example_of_a_requirement_fits_it(loc, example):
    assert Requirement.of(Whole).at(loc).example == example
    validated(Whole, {loc[0]: example})
