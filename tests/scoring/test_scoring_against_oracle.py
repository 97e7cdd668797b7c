"""The engine against the oracle of reference.py, over whatever Hypothesis can think of."""

import math
import random
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadbridge.columns import columns_of
from leadbridge.conditions import holds, prepare
from leadbridge.config.conditions import parse_condition
from leadbridge.config.scores import ScoreModel
from leadbridge.types import Score, Value
from scoring import explain
from scoring.compile import UNIT, compile_model
from scoring.confidence import confidence
from scoring.engine import ScoreFrame, score
from scoring.frames import activities_frame, people_frame
from tests.scoring import reference
from tests.scoring.drawn import AT, TYPES, audiences, facts, models, on_people

Audience: TypeAlias = list[tuple[dict[str, Value], list[reference.Did]]]
CLOSE = 1e-9


def scored(model: ScoreModel, audience: Audience, order: random.Random | None = None) -> ScoreFrame:
    """Scores of the audience, person 10 first; with people and activities shuffled when an order is given."""
    people = [(10 + index, row) for index, (row, _) in enumerate(audience)]
    done = [(10 + index, one.kind, one.at, one.attributes) for index, (_, mine) in enumerate(audience) for one in mine]
    if order is not None:
        order.shuffle(people)
        order.shuffle(done)
    frame = people_frame([person for person, _ in people], [row for _, row in people], TYPES)
    compiled = compile_model("lead", model, TYPES)
    return score(compiled, frame, activities_frame(frame, done), AT)


def lines_of(one: Score) -> dict[tuple[str, str], float]:
    lines = {(line.category, line.rule): line.points for line in one.contributions}
    assert len(lines) == len(one.contributions)
    return lines


def agree(model: ScoreModel, audience: Audience) -> None:
    """Value, grade, cell, categories and every line of everybody are what the oracle says; and the reasons of all at
    once those of each."""
    frame = scored(model, audience)
    each = frame.of(np.arange(len(audience)))
    told = ["" if one is None else explain.reasons(one.contributions) for one in each]
    assert explain.reasons_of(frame, np.arange(len(audience))) == told
    for row, (person, done) in enumerate(audience):
        wanted = reference.score(model, person, TYPES, done, AT)
        found = frame.score(row)
        if wanted is None:
            assert found is None
            assert (frame.value[row], frame.applies[row], frame.grade[row]) == (0, False, -1)
            continue
        assert found is not None
        assert (found.person_id, found.value, found.grade) == (10 + row, wanted.value, wanted.grade)
        assert found.cell == wanted.cell
        assert (found.probability is None) is (wanted.probability is None)
        assert math.isclose(found.probability or 0.0, wanted.probability or 0.0, abs_tol=CLOSE)
        assert found.categories.keys() == wanted.categories.keys()
        for name, points in wanted.categories.items():
            assert math.isclose(found.categories[name], points, abs_tol=CLOSE)
        lines = lines_of(found)
        for line in lines.keys() | wanted.lines.keys():
            assert math.isclose(lines.get(line, 0.0), wanted.lines.get(line, 0.0), abs_tol=CLOSE), line


@settings(max_examples=500, derandomize=True)
@given(models, audiences)
def test_the_engine_says_what_the_obvious_evaluator_says(model: ScoreModel, audience: Audience) -> None:
    agree(model, audience)


@pytest.mark.slow
@settings(max_examples=1500, derandomize=True)
@given(models, audiences)
def test_it_says_so_over_three_times_as_many_others(model: ScoreModel, audience: Audience) -> None:
    agree(model, audience)


@settings(max_examples=100, derandomize=True)
@given(models, audiences, st.randoms(use_true_random=False))
def test_lines_add_up_exactly_and_no_order_of_people_or_activities_changes_anything(
    model: ScoreModel, audience: Audience, order: random.Random
) -> None:
    frame = scored(model, audience)
    sums = [0] * len(audience)
    for row, units in zip(frame.contributions.person.tolist(), frame.contributions.units.tolist(), strict=True):
        sums[row] += units
    assert sums == [UNIT * value for value in frame.value.tolist()]  # in whole units
    straight = {one.person_id: one for one in frame.scores()}
    for one in straight.values():
        assert math.isclose(math.fsum(line.points for line in one.contributions), one.value, abs_tol=CLOSE)
        assert model.min <= one.value <= model.max
        assert one.scale == (model.min, model.max)
    assert {one.person_id: one for one in scored(model, audience, order).scores()} == straight


@settings(max_examples=100, derandomize=True)
@given(models, st.lists(facts, max_size=4))
def test_confidence_is_the_share_of_rules_whose_questions_are_answered(
    model: ScoreModel, rows: list[dict[str, Value]]
) -> None:
    compiled = compile_model("lead", model, TYPES)
    wanted = [reference.confidence(model, row, TYPES) for row in rows]
    assert confidence(compiled, columns_of(rows, TYPES)).tolist() == wanted


@settings(max_examples=300, derandomize=True)
@given(on_people.map(parse_condition), st.lists(facts, max_size=6))
def test_a_condition_holds_for_whom_the_obvious_evaluator_says(condition: object, rows: list[dict[str, Value]]) -> None:
    wanted = [reference.holds(condition, row, TYPES, AT) for row in rows]  # type: ignore[arg-type]
    prepared = prepare(condition)  # type: ignore[arg-type]
    assert holds(prepared, columns_of(rows, TYPES), AT).tolist() == wanted
