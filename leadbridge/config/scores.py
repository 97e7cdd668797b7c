"""The part of the file that says what people are worth: scores, personas, stages."""

import hashlib
import json
from typing import Annotated

from pydantic import Field, model_validator

from leadbridge.config.conditions import Duration, When
from leadbridge.config.kinds import (
    DAY,
    Figure,
    Name,
    OneOrMany,
    Section,
    across,
)
from leadbridge.config.trained import Trained, TrainedFile
from leadbridge.types import BOUND_LINE, ActivityKind


class Category(Section):
    """A part of a score, with its bounds."""

    min: float = Field(0, description="never below this (negative: a category may take points away)")
    max: float = Field(100, description="never above this")
    model: TrainedFile | None = Field(
        None, description="file of `leadbridge train`: points come from the probability in it, and from no rule"
    )

    @model_validator(mode="after")
    def _in_order(self) -> "Category":
        if self.min > self.max:
            raise across(f"min {self.min:g} is above max {self.max:g}", "min", "max")
        return self


class Sequence(Section):
    """What must follow an activity for it to count."""

    then: Annotated[list[ActivityKind], OneOrMany()] = Field(
        min_length=1, description="kind of activity that has to follow, or a list of kinds"
    )
    where: When | None = Field(None, description="condition on the following activity's own values")
    within: Duration = Field(description="it follows less than this long after the first, and never at the same time")


class Rule(Section):
    """One reason for points: an attribute rule (`when`, or `each` of a number), an activity rule, or silence."""

    name: str = Field(min_length=1, max_length=80, description="shown to sales as the reason")
    category: str = Field(description="the part of the score it counts for")
    points: float = Field(description="points given; negative takes away", ge=-1000, le=1000)
    when: When | None = Field(None, description="condition on the person; with an activity: on both")
    activity: Annotated[list[ActivityKind], Field(min_length=1), OneOrMany()] | None = Field(
        None, description="kind of activity, or a list of kinds"
    )
    where: When | None = Field(None, description="condition on the activity's own values, such as url")
    within: Duration | None = Field(None, description="only activity younger than this")
    half_life: Duration | None = Field(None, description="an activity this old counts half")
    steps: dict[Duration, float] | None = Field(
        None, min_length=1, description="instead of half_life: the share that counts below each age, {7d: 1, 30d: 0.5}"
    )
    floor: float | None = Field(None, gt=0, lt=1, description="share below which half_life or steps never take it")
    pause_while: When | None = Field(
        None, description="condition on the person, such as an open deal; while it holds, nothing decays"
    )
    at_most: int | None = Field(None, ge=1, description="count the newest n only")
    at_least: int | None = Field(None, ge=1, description="threshold: points once, from n activities on")
    cap: float | None = Field(None, gt=0, description="bound of this rule's points, in size")
    first_only: bool = Field(False, description="true: only the first ever that matches counts, if it is in `within`")
    distinct: str | None = Field(
        None,
        min_length=1,
        description="value of the activity, such as url; of those with the same one the newest counts",
    )
    sequence: Sequence | None = Field(None, description="count only what another activity followed in time")
    each: str | None = Field(
        None,
        min_length=1,
        description="number that multiplies the points: a value of the activity; without an activity, a field or score",
    )
    no_activity_for: Duration | None = Field(None, description="points when silent for this long")
    exclusive: str | None = Field(None, description="of the rules with this word, only the largest counts")

    @model_validator(mode="after")
    def _one_sort(self) -> "Rule":
        if self.no_activity_for is None and self.activity is None and self.when is None and self.each is None:
            raise across(
                "needs one of: when (attribute rule), each, activity, no_activity_for",
                "when",
                "each",
                "activity",
                "no_activity_for",
            )
        if self.activity is None:
            given = [key for key in OF_ACTIVITY if getattr(self, key) not in (None, False)]
            if self.no_activity_for is None and self.each is not None:
                given = [key for key in given if key not in ("each", "cap")]
            if given:
                raise across(f"{', '.join(given)} needs activity: KIND", "activity", *given)
        if BOUND_LINE.fullmatch(self.name):
            raise across(f"{self.name!r} is what explanations call a bound; choose another name", "name")
        counting = [key for key in OF_COUNTING if getattr(self, key) not in (None, False)]
        if self.no_activity_for is not None and counting:
            raise across(
                f"{', '.join(counting)} counts activity, so it does not go with no_activity_for",
                "no_activity_for",
                *counting,
            )
        decaying = (self.each, self.half_life, self.steps)
        if self.at_least is not None and any(given is not None for given in decaying):
            raise across(
                "at_least gives its points once, so it goes with neither each nor half_life nor steps",
                "at_least",
                "each",
                "half_life",
                "steps",
            )
        if self.at_least is not None and self.at_most is not None:
            raise across(
                "at_least gives its points once, so it does not go with at_most; for from 3 to 5 times, count under "
                "behaviour and write when: {NAME: {between: [3, 5]}}",
                "at_least",
                "at_most",
            )
        several = [key for key in ("at_most", "at_least", "distinct") if getattr(self, key) is not None]
        if self.first_only and several:
            raise across(
                f"first_only counts one activity, so it does not go with {', '.join(several)}", "first_only", *several
            )
        return self

    @property
    def text(self) -> str:
        """Hash of what it gives: another one whenever that may differ. Its place in the score is no part of it."""
        body = json.dumps(self.model_dump(mode="json", exclude={"category", "exclusive"}), sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()[:16]

    @model_validator(mode="after")
    def _one_decay(self) -> "Rule":
        if self.half_life is not None and self.steps is not None:
            raise across("half_life and steps are two ways to decay; keep one of them", "half_life", "steps")
        if self.half_life is None and self.steps is None:
            idle = [key for key in ("floor", "pause_while") if getattr(self, key) is not None]
            if idle:
                raise across(
                    f"{', '.join(idle)} needs something that decays; add half_life or steps",
                    "half_life",
                    "steps",
                    *idle,
                )
        shares = [share for _, share in sorted((self.steps or {}).items())]
        if any(not 0 <= share <= 1 for share in shares):
            raise across("steps are shares of the points, from 0 to 1", "steps")
        if shares != sorted(shares, reverse=True):
            raise across("steps go down: what is older never counts more than what is newer", "steps")
        return self


OF_ACTIVITY = (
    "where",
    "within",
    "half_life",
    "steps",
    "floor",
    "pause_while",
    "at_most",
    "at_least",
    "cap",
    "first_only",
    "distinct",
    "sequence",
    "each",
)
"""Keys of a rule that mean nothing without an activity."""
OF_COUNTING = tuple(key for key in OF_ACTIVITY if key != "where")
"""Keys of a rule that mean nothing to silence: whoever is silent has nothing to count."""


class Matrix(Section):
    """The letter of a grade beside the figure of a second category: A1 is who fits and is keen, C3 neither."""

    of: str = Field("engagement", description="the category that figures are read from")
    figures: dict[Figure, float] | None = Field(
        None, min_length=1, description="figure: points it begins at; default: 1 at half of the max, 2 at a quarter, 3"
    )


class ScoreModel(Section):
    """One score: categories, rules, grades."""

    min: int = Field(0, ge=-10000, le=10000, description="the least the score can be")
    max: int = Field(100, ge=-10000, le=10000, description="the most the score can be")
    applies_to: When | None = Field(None, description="who has this score; default: everyone")
    categories: dict[Name, Category] = Field(min_length=1, description="parts of the score, each with its bounds")
    rules: list[Rule] = Field(min_length=1, description="reasons for points")
    grades: dict[str, float] = Field(default={}, description="letter: points of the grade category it begins at")
    grade_from: str = Field("fit", description="the category that grades are read from")
    matrix: Matrix | None = Field(None, description="letter and figure together, A1 to C3; default: none")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "ScoreModel":
        if self.min >= self.max:
            raise across(f"min {self.min} is not below max {self.max}", "min", "max")
        return self

    @model_validator(mode="after")
    def _grades_from_somewhere(self) -> "ScoreModel":
        if self.grades and self.grade_from not in self.categories:
            raise across(
                f"grades are read from category {self.grade_from!r}, which is not there; set grade_from",
                "grades",
                "grade_from",
                "categories",
            )
        return self

    @model_validator(mode="after")
    def _matrix_of_two(self) -> "ScoreModel":
        if self.matrix is None:
            return self
        if not self.grades:
            raise across("matrix needs grades, which give its letters", "matrix", "grades")
        if self.matrix.of not in self.categories:
            raise across(
                f"figures are read from category {self.matrix.of!r}, which is not there; set matrix.of",
                "matrix",
                "categories",
            )
        if self.matrix.of == self.grade_from:
            raise across(f"matrix reads figures and letters from {self.grade_from}; set matrix.of", "matrix")
        return self

    @model_validator(mode="after")
    def _trained_with_these_rules(self) -> "ScoreModel":
        trained = [(label, each.model) for label, each in self.categories.items() if each.model is not None]
        if len(trained) > 1:
            raise across(f"{trained[0][0]} and {trained[1][0]} both have a model; keep one of them", "categories")
        texts = {rule.name: rule.text for rule in self.rules} if trained else {}
        for label, model in trained:
            if given := [rule.name for rule in self.rules if rule.category == label]:
                raise across(
                    f"the points of {label} come from its model, so rule {given[0]!r} needs another category",
                    "categories",
                    "rules",
                )
            gone = [one.rule for one in model.weights if one.rule not in texts]
            other = [one.rule for one in model.weights if one.rule in texts and texts[one.rule] != one.text]
            if gone or other:
                what = f"rule {gone[0]!r}, which is gone" if gone else f"rule {other[0]!r} as it was before"
                raise across(
                    f"the model of {label} was trained with {what}; take `model` out of the category, run "
                    "`leadbridge train`, and put it in again",
                    "categories",
                    "rules",
                )
        return self

    @property
    def trained(self) -> Trained | None:
        """The model of one of the categories, if one has a model."""
        return next((each.model for each in self.categories.values() if each.model is not None), None)

    @property
    def figures(self) -> dict[str, float]:
        """Figures of the matrix with the points each begins at; empty without one."""
        if self.matrix is None:
            return {}
        if self.matrix.figures is not None:
            return self.matrix.figures
        category = self.categories[self.matrix.of]
        return {"1": category.max / 2, "2": category.max / 4, "3": category.min}


class Trait(Section):
    """One thing that is typical of a persona."""

    name: str = Field(min_length=1, max_length=80, description="shown to sales as the reason")
    when: When = Field(description="condition on the person's own fields")
    weight: float = Field(1, gt=0, le=1000, description="how much it says, beside the other traits")


class Persona(Section):
    """A kind of buyer: what is typical of them."""

    traits: list[Trait] = Field(min_length=1, description="what is typical; nearness is the share of weights that hold")
    at_least: float = Field(50, gt=0, le=100, description="nearness (0 to 100) from which a person is taken for one")


class Drift(Section):
    """When a small move of a score is shown to the vendors.

    Decay moves a quarter of all scores by a point each day. A change of stage, grade, journey or segment is written at
    once, and so is whatever follows from news; only a small move that time alone has made waits.
    """

    points: float = Field(3, ge=0, description="a move of this much is written at once; 0: every move")
    wait: Duration = Field(
        7 * DAY, description="a smaller one waits until the record has not been written for this long"
    )


class StageRule(Section):
    """When a person enters a stage, and below what they leave it again."""

    when: When = Field(description="who enters it")
    until: When | None = Field(None, description="leave when this holds; default: when `when` no longer does")
    keep_for: Duration | None = Field(
        None, description="not left for a lower stage before this long in it; default: as soon as it says so"
    )
