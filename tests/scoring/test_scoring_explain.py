"""Reasons for the CRM field and lines for the table."""

import unicodedata
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from leadbridge.config.scores import ScoreModel
from leadbridge.types import Contribution
from scoring.compile import compile_model
from scoring.engine import score
from scoring.explain import Line, lines, reasons
from scoring.frames import activities_frame, people_frame


def gave(points: float, rule: str, category: str = "fit") -> Contribution:
    return Contribution(category, rule, points)


SOME = (gave(15, "decision maker"), gave(-10, "free mail"), gave(12.4, "pricing page"), gave(3, "target size"))


def test_the_largest_come_first_in_whole_points_whatever_their_sign() -> None:
    assert reasons(SOME) == "decision maker +15; pricing page +12; free mail -10"
    assert reasons(SOME, limit=1) == "decision maker +15"


def test_bounds_and_what_rounds_to_nothing_are_no_reasons() -> None:
    bounds = (gave(-50, "at most 40"), gave(30, "at least -12.5"), gave(0.4, "rounding", ""), gave(0.49, "read a page"))
    assert reasons((*bounds, gave(8, "pricing page"))) == "pricing page +8"
    assert reasons(bounds) == ""


def test_equal_points_keep_the_order_of_the_rules() -> None:
    assert reasons([gave(5.4, "b"), gave(4.6, "a"), gave(-5, "c")]) == "b +5; a +5; c -5"


def test_halves_round_away_from_zero() -> None:
    assert reasons([gave(2.5, "a"), gave(-2.5, "b")]) == "a +3; b -3"


def test_only_whole_reasons_are_given_within_the_width() -> None:
    assert reasons(SOME, width=40) == "decision maker +15; pricing page +12"
    assert reasons(SOME, width=10) == "decis… +15"
    assert reasons(SOME, width=12) == "decisio… +15"
    assert reasons(SOME, width=3) == ""


def test_a_day_of_decay_below_half_a_point_leaves_the_text_alone() -> None:
    model = ScoreModel.model_validate(
        {
            "categories": {"engagement": {}},
            "rules": [
                {
                    "name": "webinar",
                    "category": "engagement",
                    "activity": "webinar_attended",
                    "points": 12,
                    "half_life": "90d",
                },
                {"name": "call", "category": "engagement", "activity": "call", "points": 12, "half_life": "365d"},
            ],
        }
    )
    compiled = compile_model("lead", model, {})
    people = people_frame([1], [{}], {})
    start = datetime(2026, 3, 1, tzinfo=UTC)
    activities = activities_frame(people, [(1, kind, start, {}) for kind in ("webinar_attended", "call")])
    texts = []
    for hours in range(0, 96, 6):
        (found,) = score(compiled, people, activities, start + timedelta(hours=hours)).scores()
        texts.append(reasons(found.contributions))
    assert set(texts) == {"webinar +12; call +12"}


HOSTILE = ["=HYPERLINK(1)", "+1", "-cmd", "@SUM(A1)", "＝１", "\t=1", "<b>x</b>", "*|FNAME|*", "{{ contact.email }}"]
HOSTILE += ["a\r\nb", "\x1b[31mred", "\u202egnp", "a;b", '" onload="', "`x`", "\u2028", "\x00", "\ud800", "'", "# h"]
HOSTILE += ["{% raw %}", "é\u200d", "\ufe64b\ufe65", "％", "c:\\x"]
names = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=80))


@settings(max_examples=300, derandomize=True)
@given(st.lists(st.builds(gave, st.floats(-1e6, 1e6), names), max_size=6), st.integers(0, 5), st.integers(0, 300))
def test_no_name_makes_the_text_more_than_plain_text(found: list[Contribution], limit: int, width: int) -> None:
    text = reasons(found, limit=limit, width=width)
    assert len(text) <= width
    assert text == reasons(found, limit=limit, width=width)
    assert not any(unicodedata.category(letter)[0] == "C" for letter in text)
    assert not any(letter in text for letter in '<>{}|"`\\\n\r\t\u2028\u2029')
    parts = text.split("; ") if text else []
    assert len(parts) <= limit
    for part in parts:
        assert part[0] not in "=+-@'#* \t＝＋－＠"
    text.encode("utf-8")


def test_lines_show_rules_largest_first_then_bounds_and_add_up_as_shown() -> None:
    found = (
        gave(10, "a"),
        gave(33.3333, "b"),
        gave(-3.3333, "at most 40"),
        gave(21.105, "c", "x"),
        gave(-0.105, "rounding", ""),
    )
    shown = lines(found)
    assert shown == [
        Line("fit", "b", "+33.33"),
        Line("x", "c", "+21.11"),
        Line("fit", "a", "+10.00"),
        Line("fit", "at most 40", "-3.33"),
        Line("", "rounding", "-0.11"),
    ]
    assert round(sum(float(line.points) for line in shown), 2) == 61


@settings(max_examples=200, derandomize=True)
@given(st.lists(st.floats(-100, 100), max_size=8), st.integers(0, 100))
def test_what_is_shown_always_adds_up_to_the_score(amounts: list[float], value: int) -> None:
    found = [gave(points, f"rule {index}") for index, points in enumerate(amounts)]
    found.append(gave(value - sum(amounts), "at most 40"))
    assert round(sum(float(line.points) for line in lines(found)), 2) == value
