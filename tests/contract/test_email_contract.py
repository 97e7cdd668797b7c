"""What sync leans on, asked of every e-mail platform, over the real client and real HTTP.

The sandbox's journal says what really happened; our own word is only compared with it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import EmailPlatform, Entry, MemberStatus, Outcome, Page, Progress
from leadbridge.call import Pace, Patience
from leadbridge.errors import NeedsOperator, RetryLater
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from leadbridge.types import Activity, ActivityKind, SuppressionReason, Value
from tests.helpers import rooms
from tests.helpers.rooms import Skipping

QUICK = Patience(connect=0.5, answer=0.15, whole=60.0, tries=2, first_wait=0.5, longest_wait=30.0)
TAG, TRIGGER = "guides", "demo"  # journeys of the configuration
STATUSES = ["subscribed", "pending", "unsubscribed", "cleaned", "transactional", "archived"]


@dataclass
class MailchimpStage:
    """Mailchimp, with both journeys of the configuration."""

    sandbox: Sandbox
    secret: str = rooms.MAILCHIMP_KEY

    def __post_init__(self) -> None:
        self.sandbox.mailchimp.add_journey(11, "guides", tag="Leadbridge guides")
        self.sandbox.mailchimp.add_journey(12, "demo", step_id=34)

    def room(self, pace: Pace | None = None, **connection: Any) -> EmailPlatform:
        return rooms.mailchimp(rooms.configuration(self.sandbox.url, mailchimp=connection), pace)

    def add(self, count: int, status: str = "subscribed", *, at: datetime | None = None) -> list[str]:
        found = [f"{status}{n}@acme.example" for n in range(count)]
        for email in found:
            self.sandbox.mailchimp.add_member(email, status, timestamp=at)
        return found

    def effects(self, *kinds: str) -> list[dict[str, Any]]:
        return [
            dict(effect.detail)
            for call in self.sandbox.world.journal
            for effect in call.effects
            if effect.kind in kinds
        ]

    def calls(self, operation: str = "") -> int:
        return sum(call.operation.startswith(operation) for call in self.sandbox.world.journal)


LONG_AGO = datetime.now(UTC) - timedelta(days=9)


@pytest.fixture(params=["mailchimp"])
def stage(request: pytest.FixtureRequest) -> Iterator[MailchimpStage]:
    with Sandbox() as sandbox:
        yield MailchimpStage(sandbox)


@pytest.fixture
def room(stage: MailchimpStage) -> EmailPlatform:
    return stage.room()


def now() -> datetime:
    return datetime.now(UTC)


# --- who may be mailed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [0, 40])  # asked for one by one, and by pages
def test_every_address_comes_once_with_its_true_status(stage: MailchimpStage, room: EmailPlatform, others: int) -> None:
    begin = now()
    asked = {stage.add(1, status)[0]: MemberStatus(status) for status in STATUSES}
    asked["nobody@acme.example"] = MemberStatus.ABSENT
    crowd = [f"other{n}@acme.example" for n in range(others)]
    for email in crowd:
        stage.sandbox.mailchimp.add_member(email, "subscribed")
    seen: list[str] = []
    for portion in room.read_members([*asked, *crowd]):
        for email, member in portion.items():
            seen.append(email)
            assert member.email == email
            assert member.status is asked.get(email, MemberStatus.SUBSCRIBED)
            assert begin <= member.read_at <= now()
    assert sorted(seen) == sorted([*asked, *crowd])


def test_the_cheaper_way_of_reading_is_taken(stage: MailchimpStage, room: EmailPlatform) -> None:
    known = stage.add(1200)
    before = stage.calls("members")
    assert sum(len(portion) for portion in room.read_members(known)) == 1200
    assert stage.calls("members") - before == 2
    before = stage.calls("members")
    assert sum(len(portion) for portion in room.read_members(known[:3])) == 3
    assert stage.calls("members") - before == 3


def test_reading_nobody_asks_nothing(stage: MailchimpStage, room: EmailPlatform) -> None:
    assert list(room.read_members([])) == []
    assert stage.calls() == 0


def test_the_audience_may_spell_an_address_in_another_way(stage: MailchimpStage, room: EmailPlatform) -> None:
    stage.sandbox.mailchimp.add_member("Dana.Wolf@ACME.example", "unsubscribed")
    (portion,) = room.read_members(["dana.wolf@acme.example"])
    assert portion["dana.wolf@acme.example"].status is MemberStatus.UNSUBSCRIBED


# --- journeys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("journey", [TAG, TRIGGER])
def test_an_enrolment_enters_once(stage: MailchimpStage, room: EmailPlatform, journey: str) -> None:
    (email,) = stage.add(1)
    assert room.enrol(journey, email)[0] is Entry.ENTERED
    assert len(stage.effects("journey_entered")) == 1
    assert len(stage.effects("mail_sent")) == 1


def test_starting_by_tag_twice_is_starting_once_and_by_trigger_it_is_not_claimed(
    stage: MailchimpStage, room: EmailPlatform
) -> None:
    (email,) = stage.add(1)
    assert room.repeatable(TAG)
    assert not room.repeatable(TRIGGER)
    for _ in range(3):
        assert room.enrol(TAG, email)[0] is Entry.ENTERED
    assert len(stage.effects("journey_entered")) == 1


def test_a_tag_is_proof_and_a_trigger_leaves_none(stage: MailchimpStage, room: EmailPlatform) -> None:
    one, other = stage.add(2)
    room.enrol(TAG, one)
    assert room.entered(TAG, one) is True
    assert room.entered(TAG, other) is False
    assert room.entered(TAG, "nobody@acme.example") is False
    assert room.entered(TRIGGER, one) is None


@pytest.mark.parametrize("journey", [TAG, TRIGGER])
def test_who_is_not_in_the_audience_is_refused_for_good(
    stage: MailchimpStage, room: EmailPlatform, journey: str
) -> None:
    entry, words = room.enrol(journey, "nobody@acme.example")
    assert entry is Entry.REFUSED
    assert "acme.example" not in words


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "subscribed"])
@pytest.mark.parametrize("answer", ["ignore", "reject"])
@pytest.mark.parametrize("journey", [TAG, TRIGGER])
def test_nobody_who_left_is_mailed_whatever_the_vendor_answers(
    stage: MailchimpStage, room: EmailPlatform, status: str, answer: Any, journey: str
) -> None:
    stage.sandbox.mailchimp.settings.journeys_refuse = answer
    (email,) = stage.add(1, status)
    room.enrol(journey, email)
    assert stage.effects("mail_sent") == []


def test_a_journey_no_longer_configured_is_refused(stage: MailchimpStage, room: EmailPlatform) -> None:
    assert room.enrol("gone", "dana@acme.example")[0] is Entry.REFUSED
    assert not room.repeatable("gone")
    assert room.entered("gone", "dana@acme.example") is None
    assert stage.calls() == 0


ENROLMENT_FAULTS = [
    # trouble once, and what may be said of a start by tag (repeated inside) and by trigger
    ("429", Fault("status", status=429), Entry.ENTERED, Entry.ENTERED),
    ("empty 429", Fault("empty", status=429), Entry.ENTERED, Entry.ENTERED),
    ("empty 403", Fault("empty", status=403), Entry.ENTERED, Entry.ENTERED),
    ("html 403", Fault("html", status=403), Entry.ENTERED, Entry.ENTERED),
    ("500", Fault("status", status=500), Entry.ENTERED, Entry.UNCERTAIN),
    ("empty 503", Fault("empty", status=503), Entry.ENTERED, Entry.UNCERTAIN),
    ("502 html", Fault("html", status=502), Entry.ENTERED, Entry.UNCERTAIN),
    ("200 html", Fault("html", status=200), Entry.ENTERED, Entry.UNCERTAIN),
    ("404 html", Fault("html", status=404), Entry.ENTERED, Entry.UNCERTAIN),
    ("empty 200", Fault("empty", status=200), Entry.ENTERED, Entry.UNCERTAIN),
    ("redirect", Fault("empty", status=302, headers={"Location": "/3.0/ping"}), Entry.ENTERED, Entry.UNCERTAIN),
    ("cut before", Fault("reset_before"), Entry.ENTERED, Entry.UNCERTAIN),
    ("cut after", Fault("reset_after"), Entry.ENTERED, Entry.UNCERTAIN),
    ("hang", Fault("hang", seconds=0.3), Entry.ENTERED, Entry.UNCERTAIN),
    ("400", Fault("status", status=400), Entry.REFUSED, Entry.REFUSED),
    ("404", Fault("status", status=404), Entry.REFUSED, Entry.REFUSED),
]


@pytest.mark.parametrize("journey", [TAG, TRIGGER])
@pytest.mark.parametrize("fault", ENROLMENT_FAULTS, ids=lambda fault: fault[0])
def test_trouble_during_an_enrolment_never_enters_twice_and_is_told_truthfully(
    stage: MailchimpStage, fault: tuple[str, Fault, Entry, Entry], journey: str
) -> None:
    _, trouble, by_tag, by_trigger = fault
    (email,) = stage.add(1)
    stage.sandbox.world.faults.add(
        Fault(trouble.kind, status=trouble.status, seconds=trouble.seconds, headers=dict(trouble.headers))
    )
    room = stage.room(Skipping().pace(QUICK))
    entry, _ = room.enrol(journey, email)
    assert entry is (by_tag if journey == TAG else by_trigger)
    time.sleep(0.3 if trouble.kind == "hang" else 0)  # the vendor acts late
    entered = len(stage.effects("journey_entered"))
    assert entered <= 1
    if entry is Entry.ENTERED:
        assert entered == 1
    if entry in (Entry.REFUSED, Entry.NOTHING_HAPPENED):
        assert entered == 0


def test_nothing_happened_is_said_only_of_what_never_arrived(stage: MailchimpStage) -> None:
    (email,) = stage.add(1)
    stage.sandbox.world.faults.add(Fault("status", status=429, times=100))
    for journey in (TAG, TRIGGER):
        assert stage.room().enrol(journey, email)[0] is Entry.NOTHING_HAPPENED
    nowhere = stage.room(base_url="http://127.0.0.1:9/3.0")
    for journey in (TAG, TRIGGER):
        assert nowhere.enrol(journey, email)[0] is Entry.NOTHING_HAPPENED
    assert stage.effects("journey_entered") == []


def test_a_tag_call_that_may_have_arrived_stays_uncertain_when_the_next_try_is_turned_away(
    stage: MailchimpStage, room: EmailPlatform
) -> None:
    (email,) = stage.add(1)
    stage.sandbox.world.faults.add(Fault("reset_after"))
    stage.sandbox.world.faults.add(Fault("status", status=429, times=100))
    assert room.enrol(TAG, email)[0] is Entry.UNCERTAIN
    stage.sandbox.world.faults.clear()
    assert room.entered(TAG, email) is True


def test_a_key_refused_at_the_door_means_that_nothing_happened(stage: MailchimpStage) -> None:
    (email,) = stage.add(1)
    for journey in (TAG, TRIGGER):
        with pytest.raises(NeedsOperator):
            stage.room(api_key="ffffffffffffffffffffffffffffffff-us1").enrol(journey, email)
    assert stage.effects("journey_entered") == []


# --- who left --------------------------------------------------------------------------------------------------------


def left(pages: Iterable[Page[Any]]) -> set[str]:
    return {row.email for page in pages for row in page.rows}


def test_the_first_pull_brings_everyone_who_left_with_the_reason(stage: MailchimpStage, room: EmailPlatform) -> None:
    stage.add(3)
    gone, bounced = stage.add(2, "unsubscribed"), stage.add(2, "cleaned")
    reasons = {row.email: row.reason for page in room.pull_opt_outs(None) for row in page.rows}
    assert reasons == dict.fromkeys(gone, SuppressionReason.UNSUBSCRIBED) | dict.fromkeys(
        bounced, SuppressionReason.BOUNCED
    )


def test_whoever_leaves_later_is_in_the_next_pull(stage: MailchimpStage, room: EmailPlatform) -> None:
    stage.add(50, "unsubscribed", at=now() - timedelta(days=9))
    one, other = stage.add(2)
    progress = list(room.pull_opt_outs(None))[-1].progress
    stage.sandbox.mailchimp.person_unsubscribes(one)
    stage.sandbox.mailchimp.mail_bounces(other)
    assert left(room.pull_opt_outs(progress)) == {one, other}


@pytest.mark.parametrize("together", [True, False])
def test_a_pull_of_opt_outs_killed_after_any_page_misses_nobody(
    stage: MailchimpStage, room: EmailPlatform, together: bool
) -> None:
    """2,100 people who left: in one second (an import), or one every minute."""
    gone = [f"gone{n}@acme.example" for n in range(2100)]
    for n, email in enumerate(gone):
        at = now() - timedelta(days=9, minutes=0 if together else n)
        stage.sandbox.mailchimp.add_member(email, "unsubscribed", timestamp=at)
    stage.add(1, "cleaned")
    pages: list[Page[Any]] = []
    progress: Progress | None = None
    while progress is None or "at" not in progress or len(progress) > 1:
        pages.append(next(iter(room.pull_opt_outs(progress))))
        progress = pages[-1].progress
        assert len(pages) < 10
    assert left(pages) == {*gone, "cleaned0@acme.example"}


def test_somebody_who_comes_back_while_we_page_hides_nobody(stage: MailchimpStage, room: EmailPlatform) -> None:
    gone = [f"gone{n}@acme.example" for n in range(1500)]
    for n, email in enumerate(gone):
        stage.sandbox.mailchimp.add_member(email, "unsubscribed", timestamp=now() - timedelta(days=9, minutes=n))
    pages = room.pull_opt_outs(None)
    found = [next(pages)]
    for row in found[0].rows[:5]:  # they leave the result: an offset would now skip five others
        stage.sandbox.mailchimp.member(row.email).status = "subscribed"
    found += pages
    assert left(found) == set(gone)


def test_people_who_left_in_the_second_a_page_ends_in_are_not_lost(stage: MailchimpStage, room: EmailPlatform) -> None:
    gone = [f"gone{n}@acme.example" for n in range(1100)]
    for n, email in enumerate(gone):
        minute = min(n, 990) if n < 1010 else n  # twenty of them in one second, around the thousandth
        stage.sandbox.mailchimp.add_member(email, "unsubscribed", timestamp=LONG_AGO + timedelta(minutes=minute))
    assert left(room.pull_opt_outs(None)) == set(gone)


# --- activity --------------------------------------------------------------------------------------------------------


def keys(pages: Iterable[Page[Activity]]) -> list[str]:
    return [activity.source_id for page in pages for activity in page.rows]


def campaign(stage: MailchimpStage, people: list[str], at: datetime, *, clicks: bool = True) -> str:
    found = stage.sandbox.mailchimp.add_campaign("Spring news", at)
    for email in people:
        stage.sandbox.mailchimp.add_campaign_activity(found, email, "sent", at)
        stage.sandbox.mailchimp.add_campaign_activity(found, email, "open", at + timedelta(minutes=1))
        if clicks:
            stage.sandbox.mailchimp.add_campaign_activity(
                found, email, "click", at + timedelta(minutes=2), "https://acme.example/pricing"
            )
    return found


def test_engagement_killed_after_any_page_misses_nothing(stage: MailchimpStage, room: EmailPlatform) -> None:
    people = stage.add(510)
    for days in (3, 2):
        campaign(stage, people, now() - timedelta(days=days))
    whole = list(room.pull_activities("campaigns", None))
    assert len(whole) == 4
    assert len(set(keys(whole))) == len(keys(whole)) == 2 * 2 * 510
    killed: list[Page[Activity]] = []
    progress: Progress | None = None
    for _ in whole:
        killed.append(next(iter(room.pull_activities("campaigns", progress))))
        progress = killed[-1].progress
        if "campaign" not in progress and len(set(keys(killed))) == 2040:
            break
    assert set(keys(killed)) == set(keys(whole))


def test_engagement_is_told_by_address_kind_and_link(stage: MailchimpStage, room: EmailPlatform) -> None:
    (email,) = stage.add(1)
    number = campaign(stage, [email], now() - timedelta(hours=2))
    stage.sandbox.mailchimp.add_campaign_activity(number, email, "bounce", now(), bounce_type="soft")
    found = {activity.kind: activity for page in room.pull_activities("campaigns", None) for activity in page.rows}
    assert set(found) == {ActivityKind.EMAIL_OPENED, ActivityKind.EMAIL_CLICKED, ActivityKind.EMAIL_BOUNCED}
    click = found[ActivityKind.EMAIL_CLICKED]
    assert click.subject == f"email:{email}"
    assert click.attributes["url"] == "https://acme.example/pricing"
    assert found[ActivityKind.EMAIL_BOUNCED].attributes["bounce"] == "soft"


def test_clicks_that_a_report_shows_late_are_found(stage: MailchimpStage, room: EmailPlatform) -> None:
    (email,) = stage.add(1)
    number = campaign(stage, [email], now() - timedelta(days=2), clicks=False)
    progress = list(room.pull_activities("campaigns", None))[-1].progress
    late = now() - timedelta(hours=20)
    stage.sandbox.mailchimp.add_campaign_activity(number, email, "click", late, "https://acme.example/")
    new = [activity.kind for page in room.pull_activities("campaigns", progress) for activity in page.rows]
    assert ActivityKind.EMAIL_CLICKED in new


def test_late_clicks_on_an_old_campaign_are_found(stage: MailchimpStage, room: EmailPlatform) -> None:
    one, other = stage.add(2)
    number = campaign(stage, [one, other], now() - timedelta(days=20), clicks=False)
    progress = list(room.pull_activities("campaigns", None))[-1].progress
    stage.sandbox.mailchimp.add_campaign_activity(number, other, "click", now(), "https://acme.example/late")
    new = [a for page in room.pull_activities("campaigns", progress) for a in page.rows]
    assert [activity.subject for activity in new] == [f"email:{other}"]


# --- merge fields ----------------------------------------------------------------------------------------------------


def test_merge_fields_are_created_once_and_not_public(stage: MailchimpStage, room: EmailPlatform) -> None:
    assert [spec.name for spec in room.missing(room.specs())] == ["LBSCORE", "LBGRADE", "LBSTAGE", "LBREASONS"]
    room.create(room.specs())
    room.create(room.specs())
    assert room.missing(room.specs()) == []
    assert len(stage.effects("merge_field_created")) == 4
    fields = {
        one.tag: one for one in stage.sandbox.mailchimp.core.state.audiences[rooms.AUDIENCE].merge_fields.values()
    }
    assert fields["LBSCORE"].type == "number"
    assert not fields["LBSCORE"].public


def test_writing_twice_is_writing_once_and_what_is_written_needs_no_second_write(
    stage: MailchimpStage, room: EmailPlatform
) -> None:
    room.create(room.specs())
    (email,) = stage.add(1)
    wanted: dict[str, Value] = {"score": 72, "grade": "A", "stage": "mql", "reasons": "x" * 400}
    values = room.changes(wanted, {})
    for _ in range(2):
        assert room.write({email: values})[email].outcome is Outcome.WRITTEN
    (portion,) = room.read_members([email])
    assert portion[email].fields["LBSCORE"] == "72"
    assert room.changes(wanted, portion[email].fields) == {}
    assert set(room.changes(wanted | {"score": 71}, portion[email].fields)) == {"LBSCORE"}


def test_only_existing_members_are_written_and_their_status_is_left_alone(
    stage: MailchimpStage, room: EmailPlatform
) -> None:
    room.create(room.specs())
    known = [stage.add(1, status)[0] for status in STATUSES]
    settled = room.write({email: {"LBSCORE": "5"} for email in [*known, "nobody@acme.example"]})
    assert {settled[email].outcome for email in known} == {Outcome.WRITTEN}
    assert settled["nobody@acme.example"].outcome is Outcome.GONE
    assert stage.effects("status_changed", "member_created") == []
    assert [stage.sandbox.mailchimp.member(email).status for email in known] == STATUSES


def test_a_value_the_vendor_refuses_is_one_persons_matter(stage: MailchimpStage, room: EmailPlatform) -> None:
    room.create(room.specs())
    one, other = stage.add(2)
    stage.sandbox.world.faults.add(Fault("status", operation="members.patch", status=400))
    outcomes = sorted(
        answer.outcome for answer in room.write({one: {"LBSCORE": "1"}, other: {"LBSCORE": "2"}}).values()
    )
    assert outcomes == [Outcome.REFUSED, Outcome.WRITTEN]


def test_a_missing_merge_field_is_noticed_although_the_vendor_is_silent(
    stage: MailchimpStage, room: EmailPlatform
) -> None:
    known = stage.add(40)
    with pytest.raises(NeedsOperator, match=r"LBSCORE.*leadbridge apply"):
        room.write({email: {"LBSCORE": "1"} for email in known})
    assert stage.calls("members.patch") <= 16  # nobody else would fare better


# --- trouble ---------------------------------------------------------------------------------------------------------

ACTIONS: dict[str, Callable[[EmailPlatform, list[str]], object]] = {
    "read": lambda room, known: list(room.read_members(known)),
    "opt-outs": lambda room, known: list(room.pull_opt_outs(None)),
    "activities": lambda room, known: list(room.pull_activities("campaigns", None)),
    "missing": lambda room, known: not room.missing(room.specs()),
    "write": lambda room, known: room.write({known[0]: {"LBSCORE": "9"}}),
    "entered": lambda room, known: room.entered(TAG, known[0]) is False,
}


@pytest.mark.parametrize("fault", ENROLMENT_FAULTS[:14], ids=lambda fault: fault[0])
def test_trouble_that_passes_is_waited_out(stage: MailchimpStage, fault: tuple[str, Fault, Entry, Entry]) -> None:
    stage.room().create(stage.room().specs())
    known, trouble = stage.add(2), fault[1]
    campaign(stage, known, now() - timedelta(days=1))
    room = stage.room(Skipping().pace(QUICK))
    for name, action in ACTIONS.items():
        stage.sandbox.world.faults.add(
            Fault(trouble.kind, status=trouble.status, seconds=trouble.seconds, headers=dict(trouble.headers))
        )
        assert action(room, known), name
    assert stage.sandbox.mailchimp.member(known[0]).merge_fields["LBSCORE"] == 9


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kind", ["status", "empty", "reset_before", "hang"])
def test_trouble_that_stays_is_told_in_time(stage: MailchimpStage, kind: str, action: str) -> None:
    room, known = stage.room(Skipping().pace(QUICK)), stage.add(1)
    stage.sandbox.world.faults.add(Fault(kind, status=503, seconds=0.3, times=100))
    begin = time.monotonic()
    with pytest.raises(RetryLater):
        ACTIONS[action](room, known)
    assert time.monotonic() - begin < QUICK.answer * QUICK.tries + 1.0


@pytest.mark.parametrize("action", ACTIONS)
def test_a_refused_key_needs_an_operator_and_is_in_no_text(stage: MailchimpStage, action: str) -> None:
    secret = "0123456789abcdef0123456789abcdef-us1"
    room, known = stage.room(api_key=secret), stage.add(1)
    with pytest.raises(NeedsOperator) as caught:
        ACTIONS[action](room, known)
    assert secret not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
    assert caught.value.__context__ is None


def test_no_more_calls_than_allowed_are_in_flight(stage: MailchimpStage) -> None:
    room = stage.room(simultaneous=2)
    room.create(room.specs())
    known = stage.add(30)
    stage.sandbox.mailchimp.settings.max_in_flight = 2  # one more would be answered 429
    stage.sandbox.world.latency = 0.005
    room.write({email: {"LBSCORE": "1"} for email in known})
    assert not any(call.status == 429 for call in stage.sandbox.world.journal)
