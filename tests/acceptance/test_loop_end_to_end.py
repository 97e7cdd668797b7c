"""The main job from outside: the command line on one side, the stand-ins' own journal on the other."""

import json
import math
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leadbridge.demo import calls_of, effects_of
from tests.helpers.loop import Loop, loop, mutations, own_equal_writes, score_writes

PEOPLE = 400


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Loop, dict[str, Any], list[dict[str, Any]]]]:
    """One whole round on fresh stand-ins: the loop, what it said, and what the stand-ins saw."""
    with loop(tmp_path_factory.mktemp("loop"), "--people", str(PEOPLE), "--seed", "11") as made:
        made.run("apply")
        before = len(made.sandbox.journal())
        said = made.figures("sync")
        yield made, said, made.sandbox.journal(before)


def event_types(made: Loop) -> list[str]:
    """The event types the stand-in offers to the token, asked as anybody would."""
    request = urllib.request.Request(
        f"{made.sandbox.url}/events/v3/events/event-types",
        headers={"Authorization": f"Bearer {made.environ['HUBSPOT_TOKEN']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: list[str] = json.load(answer)["eventTypes"]
        return found


def dump_of_audiences(made: Loop) -> list[dict[str, Any]]:
    audiences = made.sandbox.get("/dump")["mailchimp"]["audiences"]
    return list(audiences.values()) if isinstance(audiences, dict) else audiences


def test_every_lead_is_read_scored_and_written(first: Any) -> None:
    _, said, journal = first
    assert said["pulled"] == said["scored"] == said["written"] == PEOPLE
    assert said["write_refused"] == said["uncertain"] == 0
    assert len(score_writes(journal)) == PEOPLE


def test_every_changed_score_reached_the_crm_exactly_once(first: Any) -> None:
    _, _, journal = first
    assert set(score_writes(journal).values()) == {1}
    assert own_equal_writes(journal) == []


def test_nobody_was_enrolled_who_is_not_subscribed(first: Any) -> None:
    _, said, journal = first
    entered = effects_of(journal, "journey_entered")
    assert len(entered) == said["enrolled"] > 0
    assert {entry["status"] for entry in entered} == {"subscribed"}
    assert effects_of(journal, "journey_refused") == []
    assert said["refused"] > 0  # there were some to be refused, and they were


def test_nobody_was_enrolled_twice(first: Any) -> None:
    _, _, journal = first
    assert set(Counter(entry["email_hash"] for entry in effects_of(journal, "journey_entered")).values()) == {1}


def test_no_members_status_was_touched(first: Any) -> None:
    _, _, journal = first
    assert effects_of(journal, "status_changed") == []
    assert effects_of(journal, "member_created") == []


def test_calls_are_within_five_percent_of_the_arithmetic_minimum(first: Any) -> None:
    made, said, journal = first
    calls = calls_of(journal)
    hubspot, mailchimp = calls["hubspot"], calls["mailchimp"]
    batches = math.ceil(PEOPLE / 100)
    assert hubspot["contacts.list"] == batches
    assert hubspot["contacts.batch.update"] == batches
    assert hubspot["companies.batch.read"] <= batches  # a company is read at most once per page of contacts
    dump = made.sandbox.get("/dump")["hubspot"]
    events = Counter(event["eventType"] for event in dump["events"])
    types = [name for name in event_types(made) if not name.startswith("e_form_submission")]  # forms tell those
    minimum = sum(max(1, math.ceil(events[name] / 100)) for name in types)
    assert hubspot["events.list"] <= 1.05 * minimum
    spans = 6  # of 30 days in 180: an offset is good for one span only
    assert hubspot["email.events"] <= math.ceil(len(dump["email_events"]) / 1000) + spans
    assert mailchimp["members.tags"] == said["enrolled"]
    everyone = math.ceil(sum(len(a["members"]) for a in dump_of_audiences(made)) / 1000)
    assert mailchimp.get("members.list", 0) + mailchimp.get("members.get", 0) <= 2 * everyone + 2 + said["refused"]


def test_a_second_run_over_unchanged_leads_makes_no_write_at_all(first: Any) -> None:
    made, _, _ = first
    before = len(made.sandbox.journal())
    said = made.figures("sync")
    assert mutations(made.sandbox.journal(before)) == {}
    assert said["written"] == said["enrolled"] == said["activities"] == 0


def test_a_count_there_and_here_agrees(first: Any) -> None:
    made, _, _ = first
    said = made.figures("count")
    assert said["lacking"] == 0
    assert sum(month["here"] for month in said["months"]) == sum(month["there"] for month in said["months"]) > 0


def test_the_reasons_in_the_crm_are_those_of_the_explanation(first: Any) -> None:
    made, _, _ = first
    contacts = made.sandbox.get("/dump")["hubspot"]["objects"]["contacts"]
    for record, contact in list(contacts.items())[:4]:
        properties = contact["properties"]
        explained = made.figures("explain", properties["email"])
        assert (explained["write_back"]["reasons"] or "") == properties.get("leadbridge_reasons", ""), record
        assert str(explained["scores"][0]["value"]) == properties["leadbridge_score"], record
        total = math.fsum(line["points"] for line in explained["scores"][0]["contributions"])
        assert total == pytest.approx(explained["scores"][0]["value"], abs=1e-9)


def test_status_says_that_nothing_waits(first: Any) -> None:
    made, _, _ = first
    made.run("sync")  # who was handed over in a round is looked at once more in the next
    status = made.figures("status")
    assert status["people"] == PEOPLE
    assert status["due"] == status["writes_waiting"] == status["events_waiting"] == status["quarantine"] == 0


def test_plan_and_apply_have_nothing_left_to_do(first: Any) -> None:
    made, _, _ = first
    before = len(made.sandbox.journal())
    assert made.figures("plan")["missing"] == []
    assert made.figures("apply") == {"created": []}
    assert mutations(made.sandbox.journal(before)) == {}


def test_a_file_with_five_faults_yields_five_messages_and_contacts_nobody(first: Any, tmp_path: Path) -> None:
    made, _, _ = first
    before = len(made.sandbox.journal())
    text = made.config.read_text(encoding="utf-8")
    for right, wrong in (
        ("job_title: {words: [manager", "job_titel: {words: [manager"),
        ("points: 15", "points: fifteen"),
        ("half_life: 45d", "half_life: 45"),
        ("category: bant", "category: bannt"),
        ("history: 180d", "histroy: 180d"),
    ):
        assert right in text, right
        text = text.replace(right, wrong, 1)
    wrong_file = tmp_path / "leadbridge.yaml"
    wrong_file.write_text(text, encoding="utf-8")
    broken = Loop(made.sandbox, wrong_file, made.environ)
    for command in ("check", "sync"):
        told = broken.run(command, code=2)
        lines = [line for line in told.splitlines() if line.startswith(f"{wrong_file}:")]
        assert len(lines) == 5, told
        assert all(line.split(":")[1].isdigit() for line in lines)
    assert len(made.sandbox.journal()) == before
