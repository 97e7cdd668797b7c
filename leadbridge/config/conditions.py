"""The condition language of `when:` and `where:`, parsed into a small tree.

`{job_title: {words: [vp, head]}, employees: {at_least: 50}}` means "all of these"; `all:`, `any:` (lists of
conditions) and `not:` (one condition) nest. A bare value is `equals`. Text compares without regard to case or to
spaces around it. An unknown value makes any test false, `{present: false}` excepted (DESIGN section 7); a `not`
around an unknown stays plain logic: not(false) is true.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import core_schema

from leadbridge.config.kinds import OneOrMany
from leadbridge.config.patterns import searcher
from leadbridge.config.wording import in_words, path_text

Scalar: TypeAlias = str | bool | int | float
Path: TypeAlias = tuple[str | int, ...]

_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?([smhdw])", re.IGNORECASE)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def parse_duration(raw: Any) -> float:
    """Seconds of "30d", "4h", "15m", "45s", "2w". Raises ValueError with what is allowed."""
    text = str(raw).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError(f"needs a unit: {text[:20]}d for days, {text[:20]}h for hours, {text[:20]}m for minutes")
    found = _DURATION.fullmatch(text[:40])
    if not found:
        raise ValueError("is not a length of time; write a number and s, m, h, d or w, such as 30d")
    seconds = float(found[1]) * _SECONDS[found[2].lower()]
    if not 0 < seconds <= 100 * 365 * 86400:
        raise ValueError("must be longer than nothing and shorter than a hundred years")
    return seconds


Duration: TypeAlias = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)? ?[smhdwSMHDW]$", "examples": ["30d", "4h"]}),
]
"""A length of time, in seconds, written "30d"."""


class Test(BaseModel):
    """Tests on one value; all that are given must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)
    __test__ = False  # no test case, whatever the name says to pytest

    equals: Scalar | None = Field(None, description="the same value; text without regard to case")
    is_not: Scalar | None = Field(None, description="a known value other than this")
    in_: Annotated[list[Scalar], Field(min_length=1)] | str | None = Field(
        None, alias="in", description="one of a list, or of a named list"
    )
    not_in: Annotated[list[Scalar], Field(min_length=1)] | str | None = Field(
        None, description="a known value that is none of these"
    )
    at_least: float | None = Field(None, description="number, this or more", allow_inf_nan=False)
    at_most: float | None = Field(None, description="number, this or less", allow_inf_nan=False)
    above: float | None = Field(None, description="number, more than this", allow_inf_nan=False)
    below: float | None = Field(None, description="number, less than this", allow_inf_nan=False)
    between: tuple[float, float] | None = Field(None, description="number, both ends included")
    words: Annotated[list[str], Field(min_length=1), OneOrMany()] | None = Field(
        None,
        description="text that has one of these as a whole word or phrase; named lists too, such as decision_makers",
    )
    contains: str | Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="text that has this (or one of these) anywhere in it"
    )
    starts_with: str | Annotated[list[str], Field(min_length=1)] | None = Field(None, description="text that begins so")
    ends_with: str | Annotated[list[str], Field(min_length=1)] | None = Field(None, description="text that ends so")
    matches: Annotated[list[str], Field(min_length=1), OneOrMany()] | None = Field(
        None, description="text in which this regular expression (RE2; or one of several) is found, in any case"
    )
    present: bool | None = Field(None, description="true: known and not empty; false: unknown")
    within: Duration | None = Field(None, description="date less than this long ago, e.g. 30d")
    older_than: Duration | None = Field(None, description="date this long ago or longer")
    in_next: Duration | None = Field(None, description="date to come, at most this far ahead, e.g. 60d")

    @field_validator("matches")
    @classmethod
    def _patterns(cls, given: list[str] | None) -> list[str] | None:
        searcher(given or ())  # says what is wrong with them
        return given

    @model_validator(mode="after")
    def _at_least_one(self) -> "Test":
        if all(getattr(self, name) is None for name in Test.model_fields):
            raise ValueError(f"is empty; say what must hold, one of: {', '.join(test_names())}")
        if self.between is not None and self.between[0] > self.between[1]:
            raise ValueError("between needs the smaller number first")
        return self

    @model_validator(mode="after")
    def _can_hold(self) -> "Test":
        if why := _impossible(self):
            raise ValueError(f"can never hold: {why}")
        return self

    @property
    def dated(self) -> bool:
        """Does it look at how long ago, or how far ahead, something is?"""
        return any(length is not None for length in (self.within, self.older_than, self.in_next))


def _impossible(test: Test) -> str:
    """Why no value passes all of the test; "" when some value may."""
    if test.present is False and len(test.model_dump(exclude_none=True)) > 1:
        return "present: false asks for the unknown, which passes no other test; keep one of them, or write any:"
    low, high = test.between or (None, None)
    least = max((one for one in (test.at_least, test.above, low) if one is not None), default=-inf)
    most = min((one for one in (test.at_most, test.below, high) if one is not None), default=inf)
    if least > most or (least == most and (test.above == least or test.below == most)):
        return f"no number is from {least:g} up and to {most:g} at once; exchange them, or write any:"
    if test.within is not None and test.older_than is not None and test.within <= test.older_than:
        return "of within and older_than, the longer time goes with within"
    if test.in_next is not None and (test.within is not None or test.older_than is not None):
        return "in_next is of the time to come, within and older_than of the past; write any:"
    return ""


def test_names() -> list[str]:
    """The words a test may use, as written in the file."""
    return [info.alias or name for name, info in Test.model_fields.items()]


@dataclass(frozen=True, slots=True)
class FieldTest:
    """One field, one test."""

    field: str
    test: Test


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: "Condition"


Condition: TypeAlias = FieldTest | AllOf | AnyOf | Not


def fields_of(condition: Condition) -> set[str]:
    """Every field the condition looks at."""
    match condition:
        case FieldTest():
            return {condition.field}
        case Not():
            return fields_of(condition.part)
        case AllOf() | AnyOf():
            return set().union(*(fields_of(part) for part in condition.parts))


def values_of(condition: Condition, field: str) -> list[str]:
    """Texts that the condition compares a field with as a whole; names of lists are not among them."""
    match condition:
        case FieldTest():
            test = condition.test
            several = [one for given in (test.in_, test.not_in) if isinstance(given, list) for one in given]
            given = [test.equals, test.is_not, *several] if condition.field == field else []
            return [one for one in given if isinstance(one, str)]
        case Not():
            return values_of(condition.part, field)
        case AllOf() | AnyOf():
            return [one for part in condition.parts for one in values_of(part, field)]


def all_of(parts: list[Condition]) -> Condition:
    """The tree of "all of these"; one part stands for itself."""
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


NEEDS_A_TEST = "needs at least one field and its test, such as {employees: {at_least: 50}}"


def parse_condition(raw: Any) -> Condition:
    """Tree of a condition held as plain data. Raises ValueError naming every wrong part, each led by its path.

    For a file, `leadbridge.config.bind` builds the same tree, knowing lines and the types of fields.
    """
    return _parse(raw, ())


class _Wrong(ValueError):
    """Problems of one or more parts, each led by its path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _parse(raw: Any, path: Path) -> Condition:
    if isinstance(raw, FieldTest | AllOf | AnyOf | Not):
        return raw
    if not isinstance(raw, dict) or not raw:
        raise _wrong(path, NEEDS_A_TEST)
    return all_of(_every(_parse_part, [(value, (*path, str(key))) for key, value in raw.items()]))


def _parse_part(raw: Any, path: Path) -> Condition:
    key = str(path[-1])
    if key in ("all", "any"):
        if not isinstance(raw, list) or not raw:
            raise _wrong(path, "needs a list of conditions")
        parts = tuple(_every(_parse, [(part, (*path, index)) for index, part in enumerate(raw)]))
        return AllOf(parts) if key == "all" else AnyOf(parts)
    if key == "not":
        return Not(_parse(raw, path))
    try:
        return FieldTest(key, Test.model_validate(raw if isinstance(raw, dict) else {"equals": raw}))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise _Wrong([f"{path_text((*path, *one['loc'][:1]))}: {in_words(one)}" for one in found]) from None


def _wrong(path: Path, problem: str) -> _Wrong:
    return _Wrong([f"{path_text(path)}: {problem}" if path else problem])


def _every(parse: Callable[[Any, Path], Condition], parts: list[tuple[Any, Path]]) -> list[Condition]:
    found: list[Condition] = []
    problems: list[str] = []
    for raw, path in parts:
        try:
            found.append(parse(raw, path))
        except _Wrong as error:
            problems += error.problems
    if problems:
        raise _Wrong(problems)
    return found


When: TypeAlias = Annotated[
    Condition,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(parse_condition)),
    WithJsonSchema({"type": "object", "format": "condition"}),
]
"""A condition in a schema: written as a mapping, held as a tree."""
