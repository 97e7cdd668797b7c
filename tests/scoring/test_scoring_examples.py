"""DESIGN section 7 on scores, sentence by sentence."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from leadbridge.conditions import holds
from leadbridge.config.conditions import parse_condition
from leadbridge.config.scores import ScoreModel
from leadbridge.types import Score, Value
from scoring.compile import UNIT, compile_model
from scoring.engine import score, score_facts
from scoring.frames import KIND_CODES, Activities, Documents, activities_frame, people_frame

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPES = {"title": "text", "budget": "number", "lifecycle_stage": "text", "created_at": "datetime"}
DAY = timedelta(days=1)

Did = tuple[str, timedelta, dict[str, Value]]


def one(
    rules: Sequence[dict[str, Any]],
    facts: dict[str, Value] | None = None,
    done: Sequence[Did] = (),
    categories: dict[str, Any] | None = None,
    **model: Any,
) -> Score:
    """Score of one person; rules need neither name nor category."""
    rules = [{"name": f"r{index}", "category": "fit", **rule} for index, rule in enumerate(rules)]
    raw = ScoreModel.model_validate({"categories": categories or {"fit": {}}, "rules": rules, **model})
    people = people_frame([7], [facts or {}], TYPES)
    activities = activities_frame(people, [(7, kind, AT - age, attributes) for kind, age, attributes in done])
    (found,) = score(compile_model("lead", raw, TYPES), people, activities, AT).scores()
    return found


def points(found: Score, rule: str = "r0") -> float:
    return sum(line.points for line in found.contributions if line.rule == rule)


def viewed(*ages: timedelta, **attributes: Value) -> list[Did]:
    return [("page_view", age, dict(attributes)) for age in ages]


VIEW = {"activity": "page_view", "points": 8}


# An attribute rule gives its points once when its condition holds. Unknown value = condition false, never an error.


def test_an_attribute_rule_gives_its_points_once() -> None:
    rule = {"when": {"title": {"words": ["vp"]}}, "points": 15}
    assert one([rule], {"title": "VP, also VP"}, viewed(DAY, 2 * DAY)).value == 15
    assert one([rule], {"title": "clerk"}).value == 0


def test_a_rule_on_the_unknown_gives_nothing() -> None:
    for when in ({"budget": {"below": 10}}, {"budget": {"is_not": 1}}, {"title": {"not_in": ["vp"]}}):
        assert one([{"when": when, "points": 15}], {"budget": float("nan"), "title": " "}).contributions == ()


# An activity rule gives, for each matching activity with t - within < at <= t, points x 2^(-(t-at)/half_life).


def test_each_matching_activity_counts() -> None:
    assert points(one([VIEW], done=[*viewed(DAY, DAY, 400 * DAY), ("call", DAY, {})])) == 24


def test_within_begins_just_after_its_far_end_and_includes_now() -> None:
    tick = timedelta(microseconds=1)
    rule = {**VIEW, "within": "30d"}
    assert points(one([rule], done=viewed(30 * DAY))) == 0
    assert points(one([rule], done=viewed(30 * DAY - tick))) == 8
    assert points(one([rule], done=viewed(0 * DAY))) == 8


def test_what_lies_in_the_future_never_counts() -> None:
    assert one([VIEW], done=viewed(-timedelta(microseconds=1))).value == 0


def test_points_halve_with_each_half_life() -> None:
    rule = {**VIEW, "half_life": "14d"}
    assert [points(one([rule], done=viewed(age * DAY))) for age in (0, 14, 28)] == [8, 4, 2]
    assert points(one([rule], done=viewed(7 * DAY))) == pytest.approx(8 / 2**0.5, abs=1e-9)


def test_what_an_activity_is_worth_is_rounded_to_ten_decimals_so_that_no_order_shows() -> None:
    rule = {**VIEW, "half_life": "14d"}
    assert points(one([rule], done=viewed(7 * DAY))) == 5.6568542495  # of 5.65685424949238
    ages = [index * timedelta(hours=7) for index in range(300)]
    assert points(one([rule], done=viewed(*ages))) == points(one([rule], done=viewed(*ages[::-1])))


def test_without_a_half_life_points_stay_full() -> None:
    assert points(one([VIEW], done=viewed(3000 * DAY))) == 8


def test_a_tiny_half_life_and_a_huge_age_give_nothing_rather_than_an_error() -> None:
    assert one([{**VIEW, "half_life": "0.001s"}], done=viewed(30000 * DAY)).contributions == ()


def test_only_activity_that_passes_where_counts() -> None:
    rule = {**VIEW, "where": {"url": {"contains": "/pricing"}}}
    done = [*viewed(DAY, url="/Pricing"), *viewed(DAY, url="/blog"), *viewed(DAY)]
    assert points(one([rule], done=done)) == 8


def test_where_not_holds_for_an_activity_without_the_attribute() -> None:
    assert points(one([{**VIEW, "where": {"not": {"url": "/blog"}}}], done=viewed(DAY))) == 8


def test_a_list_of_kinds_counts_all_of_them() -> None:
    rule = {"activity": ["meeting", "call"], "points": 5}
    assert points(one([rule], done=[("meeting", DAY, {}), ("call", DAY, {}), ("chat", DAY, {})])) == 10


def test_when_and_activity_must_both_hold() -> None:
    rule = {**VIEW, "when": {"title": "vp"}}
    assert points(one([rule], {"title": "vp"}, viewed(DAY))) == 8
    assert points(one([rule], {"title": "clerk"}, viewed(DAY))) == 0
    assert points(one([rule], {"title": "vp"})) == 0


# at_most keeps the n newest; cap bounds the rule; at_least makes it a threshold; each multiplies.


def test_at_most_keeps_the_newest_in_whatever_order_they_come() -> None:
    rule = {**VIEW, "half_life": "1d", "at_most": 2}
    assert points(one([rule], done=viewed(5 * DAY, 1 * DAY, 0 * DAY, 3 * DAY))) == 12


def test_at_most_keeps_so_many_for_each_person() -> None:
    model = ScoreModel.model_validate(
        {"categories": {"fit": {}}, "rules": [{"name": "v", "category": "fit", **VIEW, "at_most": 2}]}
    )
    people = people_frame([1, 2, 3], [{}, {}, {}], TYPES)
    rows: list[tuple[int, str, datetime, dict[str, Value]]] = [
        (person, "page_view", AT - age * DAY, {}) for age in range(3) for person in (3, 1)
    ]
    frame = score(
        compile_model("lead", model, TYPES), people, activities_frame(people, [*rows, (2, "page_view", AT, {})]), AT
    )
    assert frame.value.tolist() == [16, 8, 16]


def test_of_a_tie_at_most_keeps_the_larger_value() -> None:
    rule = {"activity": "purchase", "points": 1, "each": "value", "at_most": 1}
    for first, second in ((3, 9), (9, 3)):
        done: list[Did] = [("purchase", DAY, {"value": first}), ("purchase", DAY, {"value": second})]
        assert points(one([rule], done=done)) == 9


def test_cap_bounds_the_size_of_either_sign() -> None:
    assert points(one([{**VIEW, "cap": 12}], done=viewed(DAY, DAY))) == 12
    assert points(one([{**VIEW, "points": -8, "cap": 12}], done=viewed(DAY, DAY))) == -12


def test_at_least_gives_the_points_once_from_so_many_on() -> None:
    rule = {**VIEW, "at_least": 3}
    assert [points(one([rule], done=viewed(*[DAY] * count))) for count in (2, 3, 9)] == [0, 8, 8]


def test_each_multiplies_by_a_number_of_the_activity() -> None:
    rule = {"activity": "purchase", "points": 0.1, "each": "value"}
    done: list[Did] = [("purchase", DAY, {"value": value}) for value in (30, "12.5", "many", True, None, float("inf"))]
    assert points(one([rule], done=done)) == pytest.approx(4.25, abs=1e-12)


def test_an_activity_whose_each_is_no_number_takes_no_place() -> None:
    rule = {"activity": "purchase", "points": 1, "each": "value", "at_most": 1}
    assert points(one([rule], done=[("purchase", 2 * DAY, {"value": 5}), ("purchase", DAY, {})])) == 5


def test_no_number_an_activity_holds_makes_a_score_anything_but_a_number() -> None:
    rules = [
        {"activity": "purchase", "points": 1000, "each": "value", "half_life": "1d"},
        {"activity": "purchase", "points": -1000, "each": "value"},
    ]
    done: list[Did] = [("purchase", 5000 * DAY, {"value": value}) for value in (1e308, 1.7e308, -1e308, float("nan"))]
    found = one(rules, done=done, categories={"fit": {"min": -100}})
    assert 0 <= found.value <= 100
    assert all(np.isfinite(line.points) for line in found.contributions)
    assert sum(line.points for line in found.contributions) == pytest.approx(found.value, abs=1e-6)


# sequence, first_only and distinct choose among what matches.


def test_a_sequence_counts_what_was_followed_later_and_in_time() -> None:
    tick = timedelta(microseconds=1)
    rule = {"activity": "email_clicked", "points": 5, "sequence": {"then": ["form_submitted", "call"], "within": "7d"}}

    def found(*ages: timedelta, first: timedelta = 10 * DAY) -> float:
        return points(one([rule], done=[("email_clicked", first, {}), *(("call", age, {}) for age in ages)]))

    assert found(9 * DAY) == 5
    assert found(10 * DAY - tick) == 5
    assert found(10 * DAY) == 0  # at the same time is not then
    assert found(11 * DAY) == 0  # before
    assert found(3 * DAY + tick) == 5
    assert found(3 * DAY) == 0  # exactly 7 days later is too late
    assert found(-tick, first=DAY) == 0  # what lies ahead follows nothing
    assert found() == 0


def test_each_activity_of_a_sequence_counts_once_and_one_may_follow_several() -> None:
    rule = {"activity": "email_clicked", "points": 5, "sequence": {"then": "call", "within": "7d"}}
    done: list[Did] = [("email_clicked", age * DAY, {}) for age in (5, 4, 1)]
    done += [("call", age * DAY, {}) for age in (3, 2)]
    assert points(one([rule], done=done)) == 10
    assert points(one([{**rule, "at_most": 1}], done=done)) == 5
    assert points(one([{**rule, "at_least": 2}], done=done)) == 5
    assert points(one([{**rule, "at_least": 3}], done=done)) == 0


def test_a_sequence_of_one_kind_with_itself_and_with_a_condition_on_what_follows() -> None:
    rule = {**VIEW, "sequence": {"then": "page_view", "within": "7d", "where": {"url": {"contains": "/pricing"}}}}
    done = [*viewed(3 * DAY, url="/blog"), *viewed(2 * DAY, url="/pricing"), *viewed(DAY, url="/docs")]
    assert points(one([rule], done=done)) == 8
    assert points(one([{**rule, "sequence": {"then": "page_view", "within": "7d"}}], done=done)) == 16


def test_nobody_else_completes_a_sequence() -> None:
    rule = {"name": "s", "category": "fit", "activity": "email_clicked", "points": 5,
            "sequence": {"then": "call", "within": "7d"}}  # fmt: skip
    model = ScoreModel.model_validate({"categories": {"fit": {}}, "rules": [rule]})
    people = people_frame([1, 2, 3], [{}, {}, {}], TYPES)
    rows: list[tuple[int, str, datetime, dict[str, Value]]] = [
        (3, "call", AT - DAY, {}), (1, "email_clicked", AT - 2 * DAY, {}), (2, "call", AT - DAY, {}),
        (3, "email_clicked", AT - 2 * DAY, {}),
    ]  # fmt: skip
    frame = score(compile_model("lead", model, TYPES), people, activities_frame(people, rows), AT)
    assert frame.value.tolist() == [0, 0, 5]


def test_first_only_counts_the_first_ever_if_it_is_young_enough() -> None:
    rule = {**VIEW, "first_only": True}
    assert points(one([rule], done=viewed(3 * DAY, 2 * DAY, DAY))) == 8
    assert points(one([{**rule, "half_life": "1d"}], done=viewed(DAY, 2 * DAY))) == 2
    assert points(one([{**rule, "within": "2d"}], done=viewed(3 * DAY, DAY))) == 0
    assert points(one([{**rule, "within": "4d"}], done=viewed(3 * DAY, DAY))) == 8
    where = {**rule, "where": {"url": "/pricing"}, "within": "2d"}
    assert points(one([where], done=[*viewed(3 * DAY, url="/blog"), *viewed(DAY, url="/pricing")])) == 8


def test_distinct_counts_the_newest_of_each_value() -> None:
    rule = {**VIEW, "distinct": "url", "half_life": "1d"}
    done = [*viewed(2 * DAY, DAY, url="/a"), *viewed(0 * DAY, url="/b"), *viewed(DAY, url=" /B"), *viewed(DAY)]
    assert points(one([rule], done=done)) == 12
    wide = {**VIEW, "distinct": "url", "at_least": 3}
    assert points(one([wide], done=[*done, *viewed(DAY, url="/a")])) == 0
    assert points(one([wide], done=[*done, *viewed(DAY, url="/c")])) == 8


# no_activity_for gives points when silent.


def test_silence_is_broken_by_activity_in_the_period_only() -> None:
    rule = {"no_activity_for": "60d", "points": 5}
    assert points(one([rule], done=viewed(60 * DAY))) == 5
    assert points(one([rule], done=viewed(59 * DAY))) == 0
    assert points(one([rule], done=viewed(-DAY))) == 5  # what lies ahead breaks no silence


def test_who_never_did_anything_is_silent_and_a_condition_spares_the_newcomer() -> None:
    rule = {"no_activity_for": "60d", "points": 5}
    assert points(one([rule])) == 5
    spared = {**rule, "when": {"created_at": {"older_than": "60d"}}}
    assert points(one([spared], {"created_at": AT - DAY})) == 0
    assert points(one([spared], {"created_at": AT - 61 * DAY})) == 5


def test_silence_may_be_of_certain_kinds_and_certain_values() -> None:
    rule = {"no_activity_for": "60d", "activity": "page_view", "where": {"url": "/pricing"}, "points": 5}
    assert points(one([rule], done=[("call", DAY, {}), *viewed(DAY, url="/blog")])) == 5
    assert points(one([rule], done=viewed(DAY, url="/pricing"))) == 0


# A category is the sum of its rules, bounded; the score the sum of categories, 0..100, rounded half up.


def give(amount: float, **more: Any) -> dict[str, Any]:
    return {"when": {"title": {"present": True}}, "points": amount, **more}


def scored(*amounts: float, **category: float) -> Score:
    return one([give(amount) for amount in amounts], {"title": "x"}, categories={"fit": category})


def test_a_category_is_bounded_by_zero_and_its_max_with_a_line_for_each() -> None:
    high, low = scored(30, 25, max=40), scored(-30)
    assert (high.value, high.categories) == (40, {"fit": 40})
    assert [(line.category, line.rule, line.points) for line in high.contributions] == [
        ("fit", "r0", 30), ("fit", "r1", 25), ("fit", "at most 40", -15),
    ]  # fmt: skip
    assert [(line.category, line.rule, line.points) for line in low.contributions] == [
        ("fit", "r0", -30), ("fit", "at least 0", 30),
    ]  # fmt: skip


def test_bounds_and_grades_out_of_all_reach_are_no_error() -> None:
    found = one(
        [give(5)], {"title": "x"}, categories={"fit": {"min": -1e300, "max": 1e18}}, grades={"A": 1e300, "B": -1e15}
    )
    assert (found.value, found.grade, len(found.contributions)) == (5, "B", 1)


def test_a_category_with_a_min_may_take_points_away() -> None:
    found = one([give(20), give(-70, category="bant")], {"title": "x"}, categories={"fit": {}, "bant": {"min": -12.5}})
    assert found.categories == {"fit": 20, "bant": -12.5}
    assert [(line.rule, line.points) for line in found.contributions] == [
        ("r0", 20), ("r1", -70), ("at least -12.5", 57.5), ("rounding", 0.5),
    ]  # fmt: skip


def test_the_whole_is_bounded_to_a_hundred_and_to_zero() -> None:
    two = {"fit": {"min": -100}, "bant": {"min": -100}}
    high = one([give(80), give(70, category="bant")], {"title": "x"}, categories=two)
    low = one([give(-80), give(70, category="bant")], {"title": "x"}, categories=two)
    assert (high.value, high.contributions[-1].rule, high.contributions[-1].points) == (100, "at most 100", -50)
    assert (low.value, low.contributions[-1].rule, low.contributions[-1].points) == (0, "at least 0", 10)


@pytest.mark.parametrize(("amount", "value"), [(0.5, 1), (2.5, 3), (2.49, 2), (0.4999999, 0), (99.5, 100)])
def test_the_score_is_rounded_half_up(amount: float, value: int) -> None:
    found = scored(amount)
    assert found.value == value
    assert sum(line.points for line in found.contributions) == pytest.approx(value, abs=1e-12)


def test_decimal_points_meet_decimal_thresholds() -> None:
    found = one([give(amount) for amount in (0.1, 0.2, 0.3, 0.7, 1.1, 0.9)], {"title": "x"}, grades={"A": 3.3})
    assert (found.grade, found.categories["fit"]) == ("A", 3.3)
    assert one([give(0.1), give(0.15), give(0.25)], {"title": "x"}).value == 1


# Rules may be exclusive groups (largest wins).


def only(*amounts: float) -> list[tuple[str, float]]:
    found = one(
        [give(amount, exclusive="seniority") for amount in amounts], {"title": "x"}, categories={"fit": {"min": -100}}
    )
    return [
        (line.rule, line.points)
        for line in found.contributions
        if line.rule.startswith("r") and line.rule != "rounding"
    ]


def test_of_an_exclusive_group_the_largest_in_size_counts() -> None:
    assert only(5, 15, 10) == [("r1", 15)]
    assert only(-5, -15) == [("r1", -15)]
    assert only(10, -15) == [("r1", -15)]


def test_equals_in_an_exclusive_group_go_to_the_positive_then_to_the_first() -> None:
    assert only(-10, 10) == [("r1", 10)]
    assert only(10, 10) == [("r0", 10)]


def test_an_exclusive_group_spans_categories() -> None:
    rules = [give(5, exclusive="x"), give(9, exclusive="x", category="bant")]
    found = one(rules, {"title": "x"}, categories={"fit": {}, "bant": {}})
    assert found.categories == {"fit": 0, "bant": 9}


# Grades: the letter from the category; applies_to; facts for what comes after.


@pytest.mark.parametrize(("amount", "grade"), [(30, "A"), (29.9, "B"), (10, "C"), (9.9, None)])
def test_the_grade_is_the_highest_letter_reached_and_none_below_the_lowest(amount: float, grade: str | None) -> None:
    assert one([give(amount)], {"title": "x"}, grades={"C": 10, "A": 30, "B": 20}).grade == grade


def test_the_grade_is_read_from_its_category_after_the_bounds() -> None:
    found = one(
        [give(50), give(50, category="bant")],
        {"title": "x"},
        categories={"fit": {"max": 25}, "bant": {}},
        grades={"A": 30, "B": 20},
    )
    assert (found.grade, found.value) == ("B", 75)


CUSTOMER = {
    "applies_to": {"lifecycle_stage": "customer"},
    "categories": {"fit": {"min": 3}},
    "rules": [{"name": "r0", "category": "fit", **VIEW}],
    "grades": {"A": 3},
}


def test_who_a_score_does_not_apply_to_has_none_and_all_its_facts_are_unknown() -> None:
    people = people_frame([1, 2], [{"lifecycle_stage": "Customer"}, {}], TYPES)
    activities = activities_frame(people, [(2, "page_view", AT, {}), (1, "page_view", AT, {})])
    frame = score(compile_model("customer", ScoreModel.model_validate(CUSTOMER), TYPES), people, activities, AT)
    assert [found.person_id for found in frame.scores()] == [1]
    assert frame.score(1) is None
    assert (frame.value.tolist(), frame.applies.tolist()) == ([8, 0], [True, False])
    facts = people.facts.adding(score_facts([frame]))
    for field in ("score.customer", "score.customer.fit", "grade.customer"):
        assert holds(parse_condition({field: {"present": True}}), facts, AT).tolist() == [True, False]
    assert holds(parse_condition({"score.customer": {"at_least": 0}}), facts, AT).tolist() == [True, False]
    assert holds(parse_condition({"grade.customer": "a", "score.customer.fit": 8}), facts, AT).tolist() == [True, False]


def test_a_score_names_its_model_and_instant() -> None:
    raw = ScoreModel.model_validate(CUSTOMER)
    compiled = compile_model("customer", raw, TYPES)
    people = people_frame([1], [{"lifecycle_stage": "customer"}], TYPES)
    found = score(compiled, people, activities_frame(people, []), AT).score(0)
    assert found is not None
    assert (found.model, found.at, found.name) == (compiled.hash, AT, "customer")


def test_nobody_to_score_is_no_error() -> None:
    people = people_frame([], [], TYPES)
    frame = score(
        compile_model("customer", ScoreModel.model_validate(CUSTOMER), TYPES), people, activities_frame(people, []), AT
    )
    assert list(frame.scores()) == []


# Frames.


def test_activities_of_a_stranger_are_refused_not_dropped() -> None:
    people = people_frame([3, 1], [{}, {}], TYPES)
    with pytest.raises(ValueError, match=r"1 people who are not scored here: \[2\]"):
        activities_frame(people, [(1, "call", AT, {}), (2, "call", AT, {})])
    with pytest.raises(ValueError, match="not scored here"):
        activities_frame(people_frame([], [], TYPES), [(2, "call", AT, {})])


def test_a_person_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="named twice"):
        people_frame([1, 1], [{}, {}], TYPES)


def test_columns_of_activities_may_share_documents() -> None:
    people = people_frame([30, 10], [{}, {}], TYPES)
    t = int(AT.timestamp()) * 1_000_000
    activities = Activities.by_id(
        people,
        np.array([10, 30, 10], np.int64),
        np.full(3, KIND_CODES["page_view"], np.int8),
        np.array([t, t, t - 1], np.int64),
        Documents(np.array([0, -1, 0], np.int32), [{"url": "/pricing"}]),
    )
    rule = {"name": "r0", "category": "fit", **VIEW, "where": {"url": "/pricing"}}
    model = ScoreModel.model_validate({"categories": {"fit": {}}, "rules": [rule]})
    frame = score(compile_model("lead", model, TYPES), people, activities, AT)
    assert frame.value.tolist() == [0, 16]
    assert frame.contributions.units.tolist() == [16 * UNIT]


def test_columns_of_activities_of_differing_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Activities(
            np.zeros(1, np.int32), np.zeros(2, np.int8), np.zeros(1, np.int64), Documents(np.zeros(1, np.int32), [{}])
        )


# Each score has its own scale.


def test_a_score_is_bounded_by_its_own_scale_with_a_line_for_each_bound() -> None:
    category = {"fit": {"min": -1000, "max": 1000}}
    above = one([{"when": {"title": "vp"}, "points": 700}], {"title": "vp"}, categories=category, min=-50, max=500)
    assert (above.value, above.scale) == (500, (-50, 500))
    assert points(above, "at most 500") == -200
    below = one([{"when": {"title": "vp"}, "points": -70.5}], {"title": "vp"}, categories=category, min=-50, max=500)
    assert below.value == -50
    assert points(below, "at least -50") == 20.5
    between = one([{"when": {"title": "vp"}, "points": -2.5}], {"title": "vp"}, categories=category, min=-50)
    assert (between.value, points(between, "rounding")) == (-2, 0.5)  # half up
