"""Decay by steps, its floor, its pause; the matrix of letter and figure; and what a score says of itself."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from leadbridge.config.scores import Rule, ScoreModel
from leadbridge.types import Score, Value
from scoring.compile import compile_model, model_hash
from tests.scoring.drawn import AT, TYPES
from tests.scoring.reference import Did
from tests.scoring.test_scoring_against_oracle import scored
from tests.scoring.test_scoring_horizon import DAY, one

HOUR = timedelta(hours=1)
PAGES: dict[str, Any] = {"name": "pages", "category": "fit", "activity": "page_view", "points": 40}
STEPS = {"7d": 1, "30d": 0.5, "90d": 0.1}


def lead(rule: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"categories": {"fit": {}, "engagement": {}}, "rules": [PAGES | (rule or {})], **more}


def value(rule: dict[str, Any], age: timedelta, **row: Value) -> int:
    found = scored(ScoreModel.model_validate(lead(rule)), [(row, [Did("page_view", AT - age, {})])]).score(0)
    assert found is not None
    return found.value


@pytest.mark.parametrize(
    ("age", "left"),
    [(timedelta(0), 40), (7 * DAY - HOUR, 40), (7 * DAY, 20), (30 * DAY, 4), (90 * DAY - HOUR, 4), (90 * DAY, 0)],
)
def test_each_step_lasts_until_its_age_is_reached(age: timedelta, left: int) -> None:
    assert value({"steps": STEPS}, age) == left


def test_a_floor_keeps_a_share_for_ever_by_steps_and_by_half_life() -> None:
    assert value({"steps": STEPS, "floor": 0.25}, 400 * DAY) == 10
    assert value({"half_life": "10d", "floor": 0.25}, 10 * DAY) == 20
    assert value({"half_life": "10d", "floor": 0.25}, 400 * DAY) == 10


def test_while_a_pause_holds_nothing_decays_and_a_window_still_ends() -> None:
    paused = {"pause_while": {"title": "open"}}
    assert value({"half_life": "10d", **paused}, 400 * DAY, title="open") == 40
    assert value({"steps": STEPS, **paused}, 400 * DAY, title="open") == 40
    assert value({"half_life": "10d", **paused}, 20 * DAY, title="won") == 10
    assert value({"half_life": "10d", "within": "30d", **paused}, 30 * DAY, title="open") == 0


def test_activity_beyond_the_last_step_is_not_even_read_unless_something_keeps_it() -> None:
    def reach(**rule: Any) -> int | None:
        return compile_model("lead", ScoreModel.model_validate(lead(rule)), TYPES).reach

    assert reach(steps=STEPS) == 90 * DAY // timedelta(microseconds=1)
    assert reach(steps=STEPS, within="40d") == 40 * DAY // timedelta(microseconds=1)
    assert reach(steps=STEPS, floor=0.1) is None
    assert reach(steps=STEPS, pause_while={"title": "open"}) is None


def test_a_step_is_looked_at_when_it_comes_and_a_floor_or_a_pause_never() -> None:
    assert one(lead({"steps": STEPS}), ("page_view", 10 * DAY)) == 20 * DAY
    assert one(lead({"steps": STEPS}), ("page_view", 90 * DAY)) is None
    assert one(lead({"half_life": "10d", "floor": 0.25}), ("page_view", 100 * DAY)) is None
    pause = {"pause_while": {"title": {"present": False}}}
    assert one(lead({"half_life": "10d", **pause}), ("page_view", 1 * DAY)) is None


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"steps": STEPS, "half_life": "7d"}, "keep one of them"),
        ({"floor": 0.2}, "add half_life or steps"),
        ({"steps": {"7d": 1.5}}, "from 0 to 1"),
        ({"steps": {"7d": 0.5, "30d": 0.8}}, "steps go down"),
        ({"steps": STEPS, "at_least": 2}, "nor steps"),
    ],
)
def test_a_decay_that_cannot_be_meant_is_refused(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Rule.model_validate(PAGES | rule)


def test_the_steps_and_the_matrix_are_part_of_what_a_model_means() -> None:
    models = [
        lead(), lead({"half_life": "7d"}), lead({"steps": STEPS}), lead({"steps": STEPS, "floor": 0.1}),
        lead(grades={"A": 5}), lead(grades={"A": 5}, matrix={}), lead(grades={"A": 5}, matrix={"figures": {"1": 9}}),
    ]  # fmt: skip
    hashes = [model_hash("lead", ScoreModel.model_validate(raw)) for raw in models]
    assert len(set(hashes)) == len(models)
    turned = lead({"steps": dict(reversed(STEPS.items()))})
    assert model_hash("lead", ScoreModel.model_validate(turned)) == hashes[2]


def cell(fit: float, engagement: float, **more: Any) -> str | None:
    rules = [
        {"name": "fit", "category": "fit", "each": "money", "points": 1},
        {"name": "keen", "category": "engagement", "each": "size", "points": 1},
    ]
    raw = {
        "categories": {"fit": {"max": 40}, "engagement": {"max": 40}}, "rules": rules,
        "grades": {"A": 30, "B": 20, "C": 0}, "matrix": {}, **more,
    }  # fmt: skip
    found: Score | None = scored(ScoreModel.model_validate(raw), [({"money": fit, "size": engagement}, [])]).score(0)
    assert found is not None
    return found.cell


def test_a_cell_is_the_letter_of_fit_and_the_figure_of_engagement() -> None:
    assert [cell(35, 40), cell(35, 20), cell(25, 19), cell(25, 10), cell(3, 9)] == ["A1", "A1", "B2", "B2", "C3"]
    assert cell(35, 20, matrix={"figures": {"1": 30, "2": 15}}) == "A2"
    assert cell(35, 14, matrix={"figures": {"1": 30, "2": 15}}) is None  # below every figure, as below every letter
    assert cell(10, 40, grades={"A": 30}) is None
