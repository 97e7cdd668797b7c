"""What sync leans on, asked of every e-mail platform: one suite for every room, the vendor's side as witness."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.base import EmailPlatform, Entry, MemberStatus, Outcome, Page
from leadbridge.clock import now
from leadbridge.errors import NeedsOperator, RetryLater
from leadbridge.testing.stages import HANG, HASTY, PATIENT, EmailStage, Skipping, Trouble, TroubleKind
from leadbridge.types import Activity, ActivityKind, SuppressionReason, Value

STATUSES = ["subscribed", "pending", "unsubscribed", "cleaned", "transactional", "archived"]


def add(stage: EmailStage, count: int, status: str = "subscribed", *, at: datetime | None = None) -> list[str]:
    found = [f"{status}{n}@acme.example" for n in range(count)]
    for email in found:
        stage.put(email, status, at=at)
    return found


def journey_of(stage: EmailStage, kind: str) -> str:
    return stage.repeatable if kind == "repeatable" else stage.bare


ENROLMENT_FAULTS = [
    # trouble once, and what may be said of a start by tag (repeated inside) and by trigger
    ("429", Trouble("status", status=429), Entry.ENTERED, Entry.ENTERED),
    ("empty 429", Trouble("empty", status=429), Entry.ENTERED, Entry.ENTERED),
    ("empty 403", Trouble("empty", status=403), Entry.ENTERED, Entry.ENTERED),
    ("html 403", Trouble("html", status=403), Entry.ENTERED, Entry.ENTERED),
    ("500", Trouble("status", status=500), Entry.ENTERED, Entry.UNCERTAIN),
    ("empty 503", Trouble("empty", status=503), Entry.ENTERED, Entry.UNCERTAIN),
    ("502 html", Trouble("html", status=502), Entry.ENTERED, Entry.UNCERTAIN),
    ("200 html", Trouble("html", status=200), Entry.ENTERED, Entry.UNCERTAIN),
    ("404 html", Trouble("html", status=404), Entry.ENTERED, Entry.UNCERTAIN),
    ("empty 200", Trouble("empty", status=200), Entry.ENTERED, Entry.UNCERTAIN),
    ("redirect", Trouble("empty", status=302, headers={"Location": "/3.0/ping"}), Entry.ENTERED, Entry.UNCERTAIN),
    ("cut before", Trouble("reset_before"), Entry.ENTERED, Entry.UNCERTAIN),
    ("cut after", Trouble("reset_after"), Entry.ENTERED, Entry.UNCERTAIN),
    ("hang", Trouble("hang", seconds=HANG), Entry.ENTERED, Entry.UNCERTAIN),
    ("400", Trouble("status", status=400), Entry.REFUSED, Entry.REFUSED),
    ("404", Trouble("status", status=404), Entry.REFUSED, Entry.REFUSED),
]


def left(pages: Iterable[Page[Any]]) -> set[str]:
    return {row.email for page in pages for row in page.rows}


def keys(pages: Iterable[Page[Activity]]) -> list[str]:
    return [activity.source_id for page in pages for activity in page.rows]


def newsletter(stage: EmailStage, people: list[str], at: datetime, *, clicks: bool = True) -> str:
    """A mail to these people, which everybody opens, and clicks unless told otherwise."""
    found = stage.newsletter(at)
    for email in people:
        stage.engage(found, email, "open", at + timedelta(minutes=1))
        if clicks:
            stage.engage(found, email, "click", at + timedelta(minutes=2), "https://acme.example/pricing")
    return found


ACTIONS: dict[str, Callable[[EmailStage, EmailPlatform, list[str]], object]] = {
    "read": lambda stage, room, known: list(room.read_members(known)),
    "opt-outs": lambda stage, room, known: list(room.pull_opt_outs(None)),
    "activities": lambda stage, room, known: list(room.pull_activities(stage.stream, None)),
    "missing": lambda stage, room, known: not room.missing(room.specs()),
    "write": lambda stage, room, known: room.write({known[0]: {stage.fields[0]: "9"}}),
    "entered": lambda stage, room, known: room.entered(stage.repeatable, known[0]) is False,
}


class EmailContract:
    """Subclass it as `TestAcme`, and give it a fixture `stage` that returns a fresh `EmailStage`."""

    @pytest.fixture
    def room(self, stage: EmailStage) -> EmailPlatform:
        return stage.room()

    @pytest.mark.parametrize("others", [0, 40])  # asked for one by one, and by pages
    def test_every_address_comes_once_with_its_true_status(
        self, stage: EmailStage, room: EmailPlatform, others: int
    ) -> None:
        begin = now()
        asked = {add(stage, 1, status)[0]: MemberStatus(status) for status in STATUSES}
        asked["nobody@acme.example"] = MemberStatus.ABSENT
        crowd = [f"other{n}@acme.example" for n in range(others)]
        for email in crowd:
            stage.put(email, "subscribed")
        seen: list[str] = []
        for portion in room.read_members([*asked, *crowd]):
            for email, member in portion.items():
                seen.append(email)
                assert member.email == email
                assert member.status is asked.get(email, MemberStatus.SUBSCRIBED)
                assert begin <= member.read_at <= now()
        assert sorted(seen) == sorted([*asked, *crowd])

    def test_reading_nobody_asks_nothing(self, stage: EmailStage, room: EmailPlatform) -> None:
        assert list(room.read_members([])) == []
        assert stage.calls() == 0

    @pytest.mark.parametrize("kind", ["repeatable", "bare"])
    def test_an_enrolment_enters_once(self, stage: EmailStage, room: EmailPlatform, kind: str) -> None:
        (email,) = add(stage, 1)
        assert room.enrol(journey_of(stage, kind), email)[0] is Entry.ENTERED
        assert stage.entries() == 1
        assert stage.mails() == 1

    def test_starting_by_tag_twice_is_starting_once_and_by_trigger_it_is_not_claimed(
        self, stage: EmailStage, room: EmailPlatform
    ) -> None:
        (email,) = add(stage, 1)
        assert room.repeatable(stage.repeatable)
        assert not room.repeatable(stage.bare)
        for _ in range(3):
            assert room.enrol(stage.repeatable, email)[0] is Entry.ENTERED
        assert stage.entries() == 1

    def test_a_tag_is_proof_and_a_trigger_leaves_none(self, stage: EmailStage, room: EmailPlatform) -> None:
        one, other = add(stage, 2)
        room.enrol(stage.repeatable, one)
        assert room.entered(stage.repeatable, one) is True
        assert room.entered(stage.repeatable, other) is False
        assert room.entered(stage.repeatable, "nobody@acme.example") is False
        assert room.entered(stage.bare, one) is None

    @pytest.mark.parametrize("kind", ["repeatable", "bare"])
    def test_who_is_not_in_the_audience_is_refused_for_good(
        self, stage: EmailStage, room: EmailPlatform, kind: str
    ) -> None:
        entry, words = room.enrol(journey_of(stage, kind), "nobody@acme.example")
        assert entry is Entry.REFUSED
        assert "acme.example" not in words

    @pytest.mark.parametrize("status", [status for status in STATUSES if status != "subscribed"])
    @pytest.mark.parametrize("answer", ["ignore", "reject"])
    @pytest.mark.parametrize("kind", ["repeatable", "bare"])
    def test_nobody_who_left_is_mailed_whatever_the_vendor_answers(
        self, stage: EmailStage, room: EmailPlatform, status: str, answer: Any, kind: str
    ) -> None:
        stage.reject_journeys(loudly=answer == "reject")
        (email,) = add(stage, 1, status)
        room.enrol(journey_of(stage, kind), email)
        assert stage.mails() == 0

    def test_a_journey_no_longer_configured_is_refused(self, stage: EmailStage, room: EmailPlatform) -> None:
        assert room.enrol("gone", "dana@acme.example")[0] is Entry.REFUSED
        assert not room.repeatable("gone")
        assert room.entered("gone", "dana@acme.example") is None
        assert stage.calls() == 0

    @pytest.mark.parametrize("kind", ["repeatable", "bare"])
    @pytest.mark.parametrize("fault", ENROLMENT_FAULTS, ids=lambda fault: fault[0])
    def test_trouble_during_an_enrolment_never_enters_twice_and_is_told_truthfully(
        self, stage: EmailStage, fault: tuple[str, Trouble, Entry, Entry], kind: str
    ) -> None:
        _, trouble, repeatable, bare = fault
        (email,) = add(stage, 1)
        stage.trouble(
            Trouble(trouble.kind, status=trouble.status, seconds=trouble.seconds, headers=dict(trouble.headers))
        )
        room = stage.room(Skipping().pace(HASTY if trouble.kind == "hang" else PATIENT))
        entry, _ = room.enrol(journey_of(stage, kind), email)
        assert entry is (repeatable if kind == "repeatable" else bare)
        time.sleep(HANG if trouble.kind == "hang" else 0)  # the vendor acts late
        entered = stage.entries()
        assert entered <= 1
        if entry is Entry.ENTERED:
            assert entered == 1
        if entry in (Entry.REFUSED, Entry.NOTHING_HAPPENED):
            assert entered == 0

    def test_nothing_happened_is_said_only_of_what_never_arrived(self, stage: EmailStage) -> None:
        (email,) = add(stage, 1)
        stage.trouble(Trouble("status", status=429, times=100))
        for kind in ("repeatable", "bare"):
            assert stage.room().enrol(journey_of(stage, kind), email)[0] is Entry.NOTHING_HAPPENED
        nowhere = stage.room(None, **{stage.address: "http://127.0.0.1:9/3.0"})
        for kind in ("repeatable", "bare"):
            assert nowhere.enrol(journey_of(stage, kind), email)[0] is Entry.NOTHING_HAPPENED
        assert stage.entries() == 0

    def test_a_tag_call_that_may_have_arrived_stays_uncertain_when_the_next_try_is_turned_away(
        self, stage: EmailStage, room: EmailPlatform
    ) -> None:
        (email,) = add(stage, 1)
        stage.trouble(Trouble("reset_after"))
        stage.trouble(Trouble("status", status=429, times=100))
        assert room.enrol(stage.repeatable, email)[0] is Entry.UNCERTAIN
        stage.calm()
        assert room.entered(stage.repeatable, email) is True

    def test_a_key_refused_at_the_door_means_that_nothing_happened(self, stage: EmailStage) -> None:
        (email,) = add(stage, 1)
        refused = stage.room(None, **{stage.credential: "ffffffffffffffffffffffffffffffff-us1"})
        for kind in ("repeatable", "bare"):
            with pytest.raises(NeedsOperator):
                refused.enrol(journey_of(stage, kind), email)
        assert stage.entries() == 0

    def test_the_first_pull_brings_everyone_who_left_with_the_reason(
        self, stage: EmailStage, room: EmailPlatform
    ) -> None:
        add(stage, 3)
        gone, bounced = add(stage, 2, "unsubscribed"), add(stage, 2, "cleaned")
        reasons = {row.email: row.reason for page in room.pull_opt_outs(None) for row in page.rows}
        assert reasons == dict.fromkeys(gone, SuppressionReason.UNSUBSCRIBED) | dict.fromkeys(
            bounced, SuppressionReason.BOUNCED
        )

    def test_whoever_leaves_later_is_in_the_next_pull(self, stage: EmailStage, room: EmailPlatform) -> None:
        add(stage, 50, "unsubscribed", at=now() - timedelta(days=9))
        one, other = add(stage, 2)
        progress = list(room.pull_opt_outs(None))[-1].progress
        stage.unsubscribe(one)
        stage.bounce(other)
        assert left(room.pull_opt_outs(progress)) == {one, other}

    def test_engagement_is_told_by_address_kind_and_link(self, stage: EmailStage, room: EmailPlatform) -> None:
        (email,) = add(stage, 1)
        number = newsletter(stage, [email], now() - timedelta(hours=2))
        stage.engage(number, email, "bounce", now())
        found = {activity.kind: activity for page in room.pull_activities(stage.stream, None) for activity in page.rows}
        assert set(found) == {ActivityKind.EMAIL_OPENED, ActivityKind.EMAIL_CLICKED, ActivityKind.EMAIL_BOUNCED}
        click = found[ActivityKind.EMAIL_CLICKED]
        assert click.subject == f"email:{email}"
        assert click.attributes["url"] == "https://acme.example/pricing"

    def test_clicks_that_a_report_shows_late_are_found(self, stage: EmailStage, room: EmailPlatform) -> None:
        (email,) = add(stage, 1)
        number = newsletter(stage, [email], now() - timedelta(days=2), clicks=False)
        progress = list(room.pull_activities(stage.stream, None))[-1].progress
        late = now() - timedelta(hours=20)
        stage.engage(number, email, "click", late, "https://acme.example/")
        new = [activity.kind for page in room.pull_activities(stage.stream, progress) for activity in page.rows]
        assert ActivityKind.EMAIL_CLICKED in new

    def test_merge_fields_are_created_once_and_not_public(self, stage: EmailStage, room: EmailPlatform) -> None:
        assert [spec.name for spec in room.missing(room.specs())] == list(stage.fields)
        for _ in range(2):
            room.create(room.specs())
        assert room.missing(room.specs()) == []
        assert {name: stage.is_public(name) for name in stage.fields} == dict.fromkeys(stage.fields, False)

    def test_writing_twice_is_writing_once_and_what_is_written_needs_no_second_write(
        self, stage: EmailStage, room: EmailPlatform
    ) -> None:
        room.create(room.specs())
        (email,) = add(stage, 1)
        wanted: dict[str, Value] = {"score": 72, "grade": "A", "stage": "mql", "reasons": "x" * 400}
        values = room.changes(wanted, {})
        for _ in range(2):
            assert room.write({email: values})[email].outcome is Outcome.WRITTEN
        (portion,) = room.read_members([email])
        assert portion[email].fields[stage.fields[0]] == "72"
        assert room.changes(wanted, portion[email].fields) == {}
        assert set(room.changes(wanted | {"score": 71}, portion[email].fields)) == {stage.fields[0]}

    def test_only_existing_members_are_written_and_their_status_is_left_alone(
        self, stage: EmailStage, room: EmailPlatform
    ) -> None:
        room.create(room.specs())
        known = [add(stage, 1, status)[0] for status in STATUSES]
        settled = room.write({email: {stage.fields[0]: "5"} for email in [*known, "nobody@acme.example"]})
        assert {settled[email].outcome for email in known} == {Outcome.WRITTEN}
        assert settled["nobody@acme.example"].outcome is Outcome.GONE
        assert stage.raised() == 0
        assert [stage.status(email) for email in known] == STATUSES

    def test_a_value_the_vendor_refuses_is_one_persons_matter(self, stage: EmailStage, room: EmailPlatform) -> None:
        room.create(room.specs())
        one, other = add(stage, 2)
        stage.trouble(Trouble("status", writing=True, status=400))
        outcomes = sorted(
            answer.outcome
            for answer in room.write({one: {stage.fields[0]: "1"}, other: {stage.fields[0]: "2"}}).values()
        )
        assert outcomes == [Outcome.REFUSED, Outcome.WRITTEN]

    @pytest.mark.parametrize("fault", ENROLMENT_FAULTS[:14], ids=lambda fault: fault[0])
    def test_trouble_that_passes_is_waited_out(
        self, stage: EmailStage, fault: tuple[str, Trouble, Entry, Entry]
    ) -> None:
        stage.room().create(stage.room().specs())
        known, trouble = add(stage, 2), fault[1]
        newsletter(stage, known, now() - timedelta(days=1))
        room = stage.room(Skipping().pace(HASTY if trouble.kind == "hang" else PATIENT))
        for name, action in ACTIONS.items():
            stage.trouble(
                Trouble(trouble.kind, status=trouble.status, seconds=trouble.seconds, headers=dict(trouble.headers))
            )
            assert action(stage, room, known), name
        assert stage.held(known[0])[stage.fields[0]] == "9"

    @pytest.mark.parametrize("action", ACTIONS)
    @pytest.mark.parametrize("kind", ["status", "empty", "reset_before", "hang"])
    def test_trouble_that_stays_is_told_in_time(self, stage: EmailStage, kind: TroubleKind, action: str) -> None:
        hang, skipping = 30.0, Skipping()
        room, known = stage.room(skipping.pace(replace(HASTY, tries=2))), add(stage, 1)
        stage.trouble(Trouble(kind, status=503, seconds=hang, times=100))
        begin = time.monotonic()
        with pytest.raises(RetryLater):
            ACTIONS[action](stage, room, known)
        assert len(skipping.waits) == 1  # between the two tries of one call: nothing else is asked
        assert time.monotonic() - begin < hang

    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_refused_key_needs_an_operator_and_is_in_no_text(self, stage: EmailStage, action: str) -> None:
        secret = "0123456789abcdef0123456789abcdef-us1"
        room, known = stage.room(None, **{stage.credential: secret}), add(stage, 1)
        with pytest.raises(NeedsOperator) as caught:
            ACTIONS[action](stage, room, known)
        assert secret not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
        assert caught.value.__context__ is None
