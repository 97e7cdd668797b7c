"""The condition language of `when:` and `where:`, parsed into a small tree.

`{job_title: {words: [vp, head]}, employees: {at_least: 50}}` means "all of these"; `all:`, `any:` (lists of
conditions) and `not:` (one condition) nest. A bare value is `equals`. Text compares without regard to case or to
spaces around it. An unknown value makes any test false, `{present: false}` excepted (DESIGN section 7); a `not`
around an unknown stays plain logic: not(false) is true.
"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetPydanticSchema, model_validator
from pydantic_core import core_schema

Scalar: TypeAlias = str | bool | int | float


class Test(BaseModel):
    """Tests on one value; all that are given must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    equals: Scalar | None = Field(None, description="the same value; text without regard to case")
    is_not: Scalar | None = Field(None, description="a known value other than this")
    in_: list[Scalar] | str | None = Field(None, alias="in", description="one of a list, or of a named list")
    not_in: list[Scalar] | str | None = Field(None, description="a known value that is none of these")
    at_least: float | None = Field(None, description="number, this or more")
    at_most: float | None = Field(None, description="number, this or less")
    above: float | None = Field(None, description="number, more than this")
    below: float | None = Field(None, description="number, less than this")
    between: tuple[float, float] | None = Field(None, description="number, both ends included")
    words: list[str] | None = Field(None, description="text that has one of these as a whole word or phrase")
    contains: str | list[str] | None = Field(None, description="text that has this (or one of these) anywhere in it")
    starts_with: str | list[str] | None = Field(None, description="text that begins so")
    ends_with: str | list[str] | None = Field(None, description="text that ends so")
    present: bool | None = Field(None, description="true: known and not empty; false: unknown")
    within: "Duration | None" = Field(None, description="date less than this long ago, e.g. 30d")
    older_than: "Duration | None" = Field(None, description="date this long ago or longer")

    @model_validator(mode="after")
    def _at_least_one(self) -> "Test":
        if not self.model_fields_set:
            raise ValueError(f"is empty; say what must hold, one of: {', '.join(test_names())}")
        if self.between is not None and self.between[0] > self.between[1]:
            raise ValueError("between needs the smaller number first")
        return self


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


_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def parse_duration(text: Any) -> float:
    """Seconds of "30d", "4h", "15m", "45s", "2w". Raises ValueError with what is allowed."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise ValueError(f"needs a unit: {text}d for days, {text}h for hours, {text}m for minutes")  # noqa: TRY004
    raw = str(text).strip().lower()
    try:
        seconds = float(raw[:-1]) * _SECONDS[raw[-1:]]
    except (ValueError, KeyError):
        raise ValueError(f"{raw!r} is not a length of time; write a number and s, m, h, d or w, such as 30d") from None
    if not 0 < seconds <= 100 * 365 * 86400:
        raise ValueError("must be longer than nothing and shorter than a hundred years")
    return seconds


Duration: TypeAlias = Annotated[float, BeforeValidator(parse_duration)]
"""A length of time, in seconds, written "30d"."""


def parse_condition(raw: Any) -> Condition:
    """Tree of a condition as written. Raises ValueError naming every wrong part, each led by its path."""
    if isinstance(raw, FieldTest | AllOf | AnyOf | Not):
        return raw
    if not isinstance(raw, dict) or not raw:
        raise ValueError("needs at least one field and its test, such as {employees: {at_least: 50}}")
    parts = tuple(_parse_part(str(key), value) for key, value in raw.items())
    return parts[0] if len(parts) == 1 else AllOf(parts)


def _parse_part(key: str, value: Any) -> Condition:
    if key in ("all", "any"):
        if not isinstance(value, list) or not value:
            raise ValueError(f"{key}: needs a list of conditions")
        parts = tuple(parse_condition(part) for part in value)
        return AllOf(parts) if key == "all" else AnyOf(parts)
    if key == "not":
        return Not(parse_condition(value))
    return FieldTest(key, Test.model_validate(value if isinstance(value, dict) else {"equals": value}))


When: TypeAlias = Annotated[
    Condition,
    GetPydanticSchema(
        lambda _source, _handler: core_schema.no_info_plain_validator_function(parse_condition),
        lambda _schema, _handler: {"type": "object", "description": "condition: fields and their tests"},
    ),
]
"""A condition in a schema: written as a mapping, held as a tree."""

Test.model_rebuild()
