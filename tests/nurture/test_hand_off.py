"""Who goes to whom, and what the receiver reads: arithmetic and words, without store or vendor."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from leadbridge.config.conditions import parse_condition
from leadbridge.config.hand_off import unusable
from leadbridge.types import ActivityKind
from nurture.hand_off import (
    HAND_OFF,
    Interaction,
    Person,
    assign,
    body,
    may_begin,
    propose_threshold,
    safe,
    subject,
    told,
)

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
ROUTES = ("partners", "sales", "telephone")


def person(*interactions: Interaction, **more: object) -> Person:
    given = {"name": "Ann", "score": 80, "grade": "A", "reasons": "demo page +11", "persona": None}
    return Person(**(given | {"interactions": interactions} | more))  # type: ignore[arg-type]


def act(kind: ActivityKind, hours: float, **attributes: object) -> Interaction:
    return Interaction(kind, NOW - timedelta(hours=hours), attributes)


# --- who goes to whom ------------------------------------------------------------------------------------------------

waiting = st.lists(st.lists(st.sampled_from(ROUTES), unique=True)).map(lambda fits: list(enumerate(fits)))
room = st.dictionaries(st.sampled_from(ROUTES), st.none() | st.integers(0, 5))


@given(waiting, room, st.integers(0, 10))
def test_nobody_gets_more_than_they_have_room_for_nor_whom_they_do_not_take(
    waiting: list[tuple[int, list[str]]], room: dict[str, int | None], in_all: int
) -> None:
    given = assign(waiting, room, in_all)
    assert len(given) <= in_all
    assert len({one for one, _ in given}) == len(given)
    for route, count in Counter(route for _, route in given).items():
        free = room[route]
        assert free is None or count <= free
    fits = dict(waiting)
    assert all(route in fits[one] for one, route in given)


@given(waiting, room)
def test_who_goes_on_waiting_found_every_receiver_full(
    waiting: list[tuple[int, list[str]]], room: dict[str, int | None]
) -> None:
    given = assign(waiting, room, len(waiting))
    taken = Counter(route for _, route in given)
    for one, fits in waiting:
        if one not in dict(given):
            assert all((free := room.get(route, 0)) is not None and taken[route] >= free for route in fits)


@given(st.lists(st.integers(0, 100)), st.integers(1, 20), st.integers(0, 10))
def test_the_proposed_threshold_lets_through_what_sales_can_take_and_one_point_less_would_not(
    scores: list[int], weeks: int, capacity: int
) -> None:
    threshold = propose_threshold(scores, weeks, capacity)
    if threshold is None:
        assert len(scores) <= capacity * weeks
    else:
        assert sum(score >= threshold for score in scores) <= capacity * weeks
        assert sum(score >= threshold - 1 for score in scores) > capacity * weeks


CLOSED = NOW - timedelta(days=10)


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        ({}, True),
        ({"last_closed": CLOSED, "since": CLOSED + timedelta(days=1)}, True),
        ({"last_closed": CLOSED, "since": CLOSED - timedelta(days=1)}, False),  # never left the stage
        ({"last_closed": CLOSED, "last_opened": CLOSED, "since": NOW}, False),  # within the cooldown
        ({"last_closed": CLOSED, "again_at": NOW + timedelta(days=1), "since": NOW}, False),
        ({"last_closed": CLOSED, "again_at": NOW, "since": CLOSED - timedelta(days=1)}, True),
    ],
)
def test_a_person_is_handed_over_once_per_crossing(given: dict[str, datetime], begins: bool) -> None:
    blank = dict.fromkeys(("last_closed", "last_opened", "again_at", "since"))
    assert may_begin(**(blank | given), cooldown=timedelta(days=30), now=NOW) is begins


# --- what the receiver reads -----------------------------------------------------------------------------------------


def test_the_receiver_reads_reasons_persona_topic_interactions_and_how_to_begin() -> None:
    page = {"title": "Pricing", "topic": "pricing"}
    shown = person(
        act(ActivityKind.PAGE_VIEW, 0.5, **page),
        act(ActivityKind.PAGE_VIEW, 5, **page),
        act(ActivityKind.FORM_SUBMITTED, 60, form="Demo request"),
        *(act(ActivityKind.EMAIL_OPENED, 100 + n, subject=f"mail {n}") for n in range(5)),
        persona="head of marketing",
    )
    assert subject(shown, HAND_OFF, "sales") == "Ready for sales: Ann, score 80 A"
    assert body(shown, NOW).splitlines() == [
        "Why: demo page +11",
        "Persona: head of marketing",
        "Topic: pricing",
        "Last interactions:",
        "- within the hour: looked at (Pricing)",
        "- 5 h ago: looked at (Pricing)",
        "- 2 days ago: filled in (Demo request)",
        "- 4 days ago: opened a mail (mail 0)",
        "- 4 days ago: opened a mail (mail 1)",
        "How to begin: Ask whether the page answered their question, and what brought them to it.",
    ]


def test_who_stopped_our_mails_is_not_to_be_pressed() -> None:
    assert "do not mail" in body(person(mail_stopped=True), NOW)


HOSTILE = st.text() | st.sampled_from(
    ["*|FNAME|*", "{{ contact.email }}", "{% if %}", "=HYPERLINK(1)", "a\u202egnp.exe", "a\x00b", "x\u2028y", "@SUM(1)"]
)


@given(HOSTILE, HOSTILE)
def test_text_from_outside_becomes_one_plain_line(one: str, two: str) -> None:
    shown = safe(f"{one}{two}", 80)
    assert len(shown) <= 80
    assert len(shown.splitlines()) <= 1
    assert not {"{{", "}}", "{%", "%}"} & {shown[n : n + 2] for n in range(len(shown))}
    assert "*|" not in shown
    assert "\u202e" not in shown
    assert not shown.startswith(("=", "+", "@"))


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"score.lead": {"at_least": 60}}, "score.lead at least 60"),
        ({"country": {"in": ["Norway", "Spain"]}}, "country is one of Norway, Spain"),
        ({"not": {"opted_out": True}}, "not (opted_out is True)"),
        ({"any": [{"a": 1}, {"b": {"present": True}}]}, "one of: a is 1; b is known"),
        ({"seen": {"within": "30d"}}, "seen within 30 days"),
    ],
)
def test_a_condition_is_told_in_words(condition: dict[str, object], words: str) -> None:
    assert told(parse_condition(condition)) == words


# --- where alerts may go --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "jsons://alerts.own.example/leads",
        "json://127.0.0.1:8000/leads",
        "mailtos://me:pass@own.example?smtp=mail.own.example",
    ],
)
def test_known_services_and_own_hosts_may_be_told(address: str) -> None:
    hosts = ["alerts.own.example", "127.0.0.1", "own.example", "mail.own.example"]
    assert list(unusable([SecretStr(address)], hosts)) == []


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("jsons://elsewhere.example/leads", "not under alert_hosts"),
        ("json://own.example/leads", "goes without TLS"),
        ("jsons://own.example/leads?verify=no", "switches a safety off"),
        ("mailtos://me:pass@own.example?smtp=elsewhere.example", "not under alert_hosts"),
        ("https://elsewhere.example/hook", "of no kind that is known"),
        ("https://hooks.slack.com.elsewhere.example/services/T/A/B", "of no kind that is known"),
        ("dbus://", "of no kind that is known"),
        ("jsons://[broken", "cannot be read"),
    ],
)
def test_any_other_place_is_refused_without_showing_the_address(address: str, problem: str) -> None:
    (found,) = unusable([SecretStr(address)], ["own.example"])
    assert problem in found
    assert "elsewhere.example/" not in found
