"""A trained model as data: what `leadbridge train` writes and a category of a score reads.

Plain JSON, so that it can be read, compared and kept beside the configuration. `version` is a hash of all the rest: a
file that was changed by hand is told.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator

from leadbridge.config.kinds import Section
from leadbridge.config.wording import in_words
from leadbridge.types import LifecycleStage

MAX_BYTES = 1_000_000


class Weight(Section):
    """What one rule says of the outcome."""

    rule: str = Field(description="name of the rule")
    text: str = Field(description="hash of the rule as it was")
    weight: float = Field(description="log-odds for each point that the rule gives")
    error: float = Field(ge=0, description="standard error of the weight")
    low: float = Field(description="the least it gave; less counts as this")
    high: float = Field(description="the most it gave; more counts as this")
    typical: float = Field(description="what it gave on average, to whom it gave anything")
    given: int = Field(ge=0, description="how often it gave anything")


class Looked(Section):
    """Who was looked at as of one instant."""

    at: str = Field(description="the instant")
    people: int = Field(ge=0, description="people who had not reached the goal")
    became: int = Field(ge=0, description="of them, who reached it in time")
    held_out: bool = Field(description="not trained with: the figures are of these")


class Figures(Section):
    """How well something told who reached the goal, among the people held out."""

    auc: float = Field(description="of one who did and one who did not, how often the first came first")
    auc_low: float
    auc_high: float
    average_precision: float
    brier: float | None = Field(None, description="mean square of the error; of a probability only")
    expected: float | None = Field(None, description="how many were expected to reach it; of a probability only")
    slope: float | None = Field(None, description="1: as said; below: said too boldly; above: too timidly")
    slope_low: float | None = None
    slope_high: float | None = None


class _Learned(Section):
    """All but the version."""

    format: Literal[1] = 1
    score: str = Field(description="the score whose rules it is made of")
    rules: str = Field(description="hash of the score as it was")
    reaches: str = Field(description="what is likely: the stage reached, or the activity done")
    within: float = Field(gt=0, description="in so many seconds")
    trained_at: str
    looked: list[Looked] = Field(min_length=2, description="whom it was learned from, and tried on")
    share: float = Field(gt=0, lt=1, description="of all it was learned from, who reached the goal")
    intercept: float
    weights: list[Weight] = Field(min_length=1)
    confidence: float = Field(gt=0, lt=1, description="of the intervals")
    held_out: Figures = Field(description="the probability on the people held out")
    by_hand: Figures = Field(description="the score itself on the same people")

    @property
    def digest(self) -> str:
        """What `version` has to be."""
        body = json.dumps(self.model_dump(mode="json", exclude={"version"}), sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()[:16]

    @property
    def stage(self) -> bool:
        """Is it a stage that is reached, and no activity that is done?"""
        return self.reaches in [stage.value for stage in LifecycleStage]


class Trained(_Learned):
    """A probability learned from what became of people, as a weight for each rule of a score."""

    version: str = Field(description="hash of all the rest")

    @model_validator(mode="after")
    def _unchanged(self) -> "Trained":
        if self.version != self.digest:
            raise ValueError("was changed after it was trained: its `version` is not that of what it holds; train anew")
        return self


def sealed(**given: Any) -> Trained:
    """A trained model of these values, with its version."""
    draft = _Learned(**given)
    return Trained(**draft.model_dump(), version=draft.digest)


def _read(given: Any) -> Any:
    """The model in a file that `leadbridge train` wrote."""
    if not isinstance(given, str):
        return given
    try:
        with Path(given).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}; `leadbridge train --out FILE` writes it") from None
    except ValueError:
        raise ValueError("is not a file name") from None
    try:
        return Trained.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(
            f"is no model that `leadbridge train` wrote{f', at {place}' if place else ''}: {in_words(first)}"
        ) from None


TrainedFile = Annotated[
    Trained,
    BeforeValidator(_read),
    WithJsonSchema({"type": "string", "examples": ["lead.model.json"]}),
]
"""A trained model, written as the name of its file."""
