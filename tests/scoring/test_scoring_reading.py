"""One person's score read closely: what stands behind a line, and what would raise the score."""

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from leadbridge.config.scores import ScoreModel
from leadbridge.types import Value
from scoring import reading
from scoring.compile import compile_model
from scoring.engine import score
from scoring.frames import activities_frame, people_frame
from tests.scoring.drawn import AT

TYPES = {"title": "text", "size": "integer"}
DAY = timedelta(days=1)
MODEL: dict[str, Any] = {
    "categories": {"fit": {"min": -20, "max": 20}, "engagement": {"max": 30}},
    "rules": [
        {"name": "boss", "category": "fit", "when": {"title": {"words": "boss"}}, "points": 15},
        {"name": "chief", "category": "fit", "when": {"title": {"words": "chief"}}, "points": 18},
        {"name": "size", "category": "fit", "each": "size", "points": 0.1},
        {"name": "pages", "category": "engagement", "activity": "page_view", "points": 8, "at_most": 2,
         "half_life": "10d"},
        {"name": "forms", "category": "engagement", "activity": "form_submitted", "points": 9, "at_least": 2},
        {"name": "quiet", "category": "engagement", "activity": "call", "no_activity_for": "30d", "points": -5},
    ],
}  # fmt: skip
DONE = [
    ("page_view", AT - 10 * DAY, {"url": "https://acme.example/\u202epricing<script>"}),
    ("page_view", AT - 20 * DAY, {"url": "/old"}),
    ("form_submitted", AT - 3 * DAY, {"form": "demo"}),
    ("call", AT - 40 * DAY, {}),
    ("page_view", AT + DAY, {"url": "/later"}),
]


def read(
    raw: dict[str, Any], row: dict[str, Value], done: list[tuple[str, Any, dict[str, Any]]]
) -> tuple[dict[str, str], list[reading.Gain], int]:
    people = people_frame([1], [row], TYPES)
    activities = activities_frame(people, [(1, *one) for one in done])
    model = ScoreModel.model_validate(raw)
    compiled = compile_model("lead", model, TYPES)
    (found,) = score(compiled, people, activities, AT).scores()
    asked = compiled, model, people, activities, AT
    return reading.evidence(*asked), reading.raising(*asked, limit=9), found.value


def test_each_line_names_the_values_and_the_activities_behind_it() -> None:
    told, _, _ = read(MODEL, {"title": "the boss", "size": 50}, DONE)
    assert told["boss"] == "title: the boss"
    assert told["size"] == "size: 50"
    assert told["pages"] == "page view 2026-02-19 (https://acme.example/ pricing script); page view 2026-02-09 (/old)"
    assert told["forms"] == "form submitted 2026-02-26 (demo)"
    assert told["quiet"] == "last: call 2026-01-20"


def test_a_line_names_what_followed_and_what_the_points_were_multiplied_by() -> None:
    then = {"then": "form_submitted", "within": "3d"}
    rules: list[dict[str, Any]] = [
        {"name": "form after page", "category": "fit", "activity": "page_view", "points": 8, "sequence": then},
        {"name": "time", "category": "fit", "activity": "other", "each": "seconds", "points": 0.01},
    ]
    done: list[tuple[str, Any, dict[str, Any]]] = [
        ("page_view", AT - 9 * DAY, {"url": "/a"}),
        ("page_view", AT - 8 * DAY, {"url": "/b"}),
        ("form_submitted", AT - 7 * DAY, {"form": "demo"}),
        ("page_view", AT - 6 * DAY, {"url": "/c"}),  # followed by nothing
        ("form_submitted", AT - 1 * DAY, {"form": "late"}),
        ("other", AT - 5 * DAY, {"event": "session ended", "seconds": 300}),
    ]
    told, _, _ = read({"categories": {"fit": {}}, "rules": rules}, {}, done)
    assert told["form after page"] == (
        "page view 2026-02-21 (/b), then form submitted 2026-02-22 (demo); "
        "page view 2026-02-20 (/a), then form submitted 2026-02-22 (demo)"
    )
    assert told["time"] == "other 2026-02-24 (session ended, seconds 300)"


def test_what_would_raise_the_score_most_comes_first_with_every_bound_in_force() -> None:
    # fit 15 + 5 of 20 at most; engagement 8/2 + 8/4 of pages, no second form, quiet: 6 - 5
    _, gains, value = read(MODEL, {"title": "boss", "size": 50}, DONE)
    assert value == 21
    assert [(gain.rule, gain.what, gain.points) for gain in gains] == [
        ("forms", "with 1 more: form submitted", 9),
        ("pages", "with one more: page view", 6),  # in place of the older of the two
        ("quiet", "with one more: call", 5),
    ]


def test_what_would_raise_the_score_names_both_parts_of_a_sequence() -> None:
    then = {"then": ["form_submitted", "call"], "within": "1d"}
    rule = {"name": "pages", "category": "fit", "activity": "page_view", "points": 8, "sequence": then}
    _, (gain,), _ = read({"categories": {"fit": {}}, "rules": [rule]}, {}, [])
    assert gain.what == "with one more: page view, and then in time form submitted or call"


def test_who_has_everything_can_gain_nothing() -> None:
    full = {"categories": {"fit": {"max": 10}}, "rules": [MODEL["rules"][0], MODEL["rules"][1]]}
    _, gains, value = read(full, {"title": "boss"}, [])
    assert (value, gains) == (10, [])


simple = st.fixed_dictionaries(
    {"activity": st.just("page_view"), "points": st.sampled_from([3, 8, 12.5])},
    optional={"at_most": st.integers(1, 3), "half_life": st.sampled_from(["5d", "30d"]), "cap": st.just(11),
              "within": st.just("20d"), "exclusive": st.just("one")},
)  # fmt: skip
ages = st.lists(st.sampled_from([1, 5, 10, 19.5, 25]), max_size=4)


@settings(max_examples=200, derandomize=True)
@given(st.lists(simple, min_size=1, max_size=3), ages)
def test_one_more_activity_raises_the_score_by_what_was_said(rules: list[dict[str, Any]], days: list[float]) -> None:
    done: list[tuple[str, Any, dict[str, Any]]] = [("page_view", AT - age * DAY, {}) for age in days]
    named = [rule | {"name": f"rule {index}", "category": "fit"} for index, rule in enumerate(rules)]
    for index, rule in enumerate(named):
        # Only this rule may see one more, so that the others stay as they are.
        alone = [each if each is rule else each | {"activity": "call"} for each in named]
        raw = {"categories": {"fit": {"max": 30}}, "rules": alone}
        _, gains, before = read(raw, {}, done)
        _, _, after = read(raw, {}, [*done, ("page_view", AT, {})])
        told = {gain.rule: gain.points for gain in gains}
        assert told.get(f"rule {index}", 0) == max(0, after - before)


def test_changed_lines_are_the_largest_first_and_those_that_stayed_are_left_out() -> None:
    assert reading.changed_lines([("a", 1), ("b", 5), ("c", 2)], [("a", 1.004), ("c", 4), ("d", -9)]) == [
        ("d", 0.0, -9), ("b", 5, 0.0), ("c", 2, 4),
    ]  # fmt: skip
