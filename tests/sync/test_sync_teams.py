"""What both teams look at: who waits for an answer, how groups grow, how fast people move, what became of one."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leadbridge.cli import app
from leadbridge.report import waited
from leadbridge.store import Store, activities, tables
from leadbridge.store.rows import insert_all
from leadbridge.types import Activity, ActivityKind, email_key
from sync.answering import answering
from sync.sizes import sizes
from sync.speed import Pace, speed
from sync.timeline import timeline
from tests.helpers.config_files import ENVIRONMENT, SOUND, write
from tests.helpers.receiver import receiver
from tests.helpers.syncing import TAG, Stage, journey, moving, stage

ADA, BOB = "ada@acme.example", "bob@acme.example"
START = datetime(2026, 11, 2, 12, tzinfo=UTC)


def did(made: Stage, email: str, kind: str, at: datetime, **attributes: Any) -> None:
    with made.store.writing() as tx:
        made.made += 1
        act = Activity(email_key(email), ActivityKind(kind), at, "t", str(made.made), attributes)
        activities.add_activities(tx, [act], at)


def test_who_asked_and_has_no_answer_is_listed_and_answers_are_timed(store: Store) -> None:
    with stage(store) as made, moving(made, START) as time:
        for address in (ADA, BOB, "cy@acme.example"):
            made.lead(address)
        made.sync()
        did(made, ADA, "form_submitted", START - timedelta(days=5))
        did(made, ADA, "chat", START - timedelta(days=4, hours=12))  # before the answer: the same question
        did(made, ADA, "email_sent", START - timedelta(days=4, hours=6))  # a mailing is no answer
        did(made, ADA, "email_sent", START - timedelta(days=4), sales=True)
        did(made, BOB, "other", START - timedelta(days=2), event="email_received")
        did(made, BOB, "call", START - timedelta(days=3))  # was before
        did(made, "cy@acme.example", "form_submitted", START - timedelta(hours=2))
        did(made, "cy@acme.example", "form_submitted", START - timedelta(days=40))  # too long ago
        time.on(seconds=1)
        with store.reading() as tx:
            found = answering(tx, made.config, made.now())
    assert (found.asked, found.answered, found.late, found.hours, found.overdue) == (3, 1, 0, 24.0, 1)
    assert [(one.email, one.kind, one.score) for one in found.waiting] == [
        (BOB, "other", 15),
        ("cy@acme.example", "form_submitted", 15),
    ]


def test_segments_are_counted_at_the_end_of_each_month_as_people_were_then(store: Store) -> None:
    behaviour = {"visits": {"of": "page_view", "within": "45d"}}
    segments = {"keen": {"visits": {"at_least": 1}}, "bosses": {"job_title": {"words": ["director"]}}}
    with stage(store, behaviour=behaviour, segments=segments) as made, moving(made, START) as time:
        record = made.lead(ADA)
        made.sync()
        did(made, ADA, "page_view", START + timedelta(days=1))
        time.on(days=40)
        made.lead(BOB)
        made.edit(record, jobtitle="Director")
        made.sync()
        time.on(days=40)
        found = sizes(store, made.parts.scorer, 2)
    assert [str(day) for day in found.days] == ["2026-11-30", "2026-12-31", "2027-01-21"]
    assert found.people == (1, 2, 2)
    assert found.segments == {"keen": (1, 0, 0), "bosses": (0, 1, 1)}


def test_the_days_of_each_step_are_told_by_grade_before_and_since_a_day(store: Store) -> None:
    day = START

    def at(days: float) -> datetime:
        return day + timedelta(days=days)

    paths = {
        1: ("A", [("mql", -30), ("sql", -20), ("customer", -10)]),
        2: ("A", [("mql", -12), ("sql", 2)]),
        3: ("B", [("mql", 1), ("customer", 5)]),  # jumped over SQL
        4: ("A", [("mql", 1)]),
    }
    moves = [{"person_id": n, "stage": s, "at": at(d)} for n, (_, path) in paths.items() for s, d in path]
    grades = [
        {"person_id": n, "name": "lead", "version": 1, "value": 50, "grade": grade, "categories": {},
         "contributions": [], "model": "m", "at": at(-40)}
        for n, (grade, _) in paths.items()
    ]  # fmt: skip
    with store.writing() as tx:
        people = [{"id": n, "created_at": at(-40), "changed_at": at(-40)} for n in paths]
        insert_all(tx, tables.persons, people)
        insert_all(tx, tables.stage_history, moves)
        insert_all(tx, tables.score_history, grades)
    with stage(store) as made, store.reading() as tx:
        to_sql, to_customer, whole = speed(tx, made.config, day, at(30))
    assert (to_sql.before, to_sql.since) == (Pace(1, 10.0), Pace(2, 9.0))
    assert to_sql.grades == {"A": (Pace(1, 10.0), Pace(1, 14.0)), "B": (Pace(), Pace(1, 4.0))}
    assert (to_customer.before, to_customer.since) == (Pace(1, 10.0), Pace(1, 0.0))
    assert (whole.before, whole.since) == (Pace(1, 20.0), Pace(1, 4.0))


def test_the_history_of_a_person_is_one_list_in_order(store: Store) -> None:
    with stage(store, journey(TAG)) as made, moving(made, START) as time:
        record = made.lead(ADA)
        made.sync()
        time.on(days=1)
        made.edit(record, jobtitle="Director")
        made.sync()
        found = timeline(store, ADA)
        assert timeline(store, BOB) is None
    assert found is not None
    assert [(event.at - START, event.what, event.said) for event in found if event.what != "journey guides"] == [
        (timedelta(0), "score lead", "15 B: known +15"),
        (timedelta(days=1), "score lead", "55 A: boss +40; known +15"),
        (timedelta(days=1), "stage", "mql: the conditions of mql hold: lead 55"),
    ]
    given = {event.rules for event in found if event.what == "score lead"}
    assert given == {model.hash for model in made.parts.scorer.models}
    assert next(event.said for event in found if event.what == "journey guides") == "wanted: known +15"
    assert any(event.said.startswith("done") for event in found if event.what == "journey guides")


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, *words: str) -> Any:
    for name, known in ENVIRONMENT.items():
        monkeypatch.setenv(name, known)
    file = write(tmp_path, f"store: sqlite:///{tmp_path}/leadbridge.db\n{SOUND}{more}")
    return CliRunner().invoke(app, [*words, "--config", str(file)])


def test_the_weekly_report_is_told_where_hand_offs_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = 'hand_off: {on: sql, alert: ["${CHAT}"], alert_hosts: [127.0.0.1]}\n'
    with receiver() as chat:
        monkeypatch.setenv("CHAT", chat.url)
        found = run(tmp_path, monkeypatch, more, "report", "handoff", "--tell")
    assert found.exit_code == 0, found.output
    (told,) = chat.told
    assert told["title"] == "Hand-off from marketing to sales, week by week"
    assert "handed over, 0 accepted" in told["message"]
    assert chat.url not in found.output


def test_a_report_that_reaches_nobody_fails_and_shows_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = run(tmp_path, monkeypatch, "", "report", "handoff", "--tell")
    assert (none.exit_code, "hand_off.alert" in none.output) == (2, True)
    monkeypatch.setenv("CHAT", "json://127.0.0.1:9/secret")
    more = 'hand_off: {on: sql, alert: ["${CHAT}"], alert_hosts: [127.0.0.1]}\n'
    dead = run(tmp_path, monkeypatch, more, "report", "handoff", "--tell")
    assert dead.exit_code == 1
    assert "secret" not in dead.output


@pytest.mark.parametrize(
    "words", [("report", "unanswered"), ("report", "segments"), ("report", "cycle", "--since", "2026-03-01")]
)
@pytest.mark.parametrize("how", [["--json"], []])
def test_every_report_is_a_command_that_reads_an_empty_store_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], how: list[str]
) -> None:
    found = run(tmp_path, monkeypatch, "", *words, *how)
    assert found.exit_code == 0, found.output
    assert not how or json.loads(found.stdout)


@pytest.mark.parametrize(
    ("hours", "words"), [(0.25, "0.2 h"), (47.94, "47.9 h"), (48.0, "2 d 0 h"), (662.6, "27 d 14 h")]
)
def test_a_long_wait_is_told_in_days(hours: float, words: str) -> None:
    assert waited(hours) == words


def test_the_history_of_nobody_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path, monkeypatch, "", "history", ADA).exit_code == 1
