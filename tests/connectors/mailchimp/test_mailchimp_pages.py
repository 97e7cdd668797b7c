"""What is peculiar to Mailchimp's pages, and to its silence: the cheaper way, ties, late reports."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import EmailPlatform, MemberStatus, Page, Progress
from connectors.mailchimp import members
from connectors.mailchimp.mapping import hash_of
from leadbridge.clock import now
from leadbridge.errors import NeedsOperator
from leadbridge.sandbox.server import Sandbox
from leadbridge.testing.email import add, keys, left, newsletter
from leadbridge.types import Activity  # noqa: TC001
from tests.helpers.stages import MailchimpStage

LONG_AGO = datetime.now(UTC) - timedelta(days=9)


@pytest.fixture
def stage() -> Iterator[MailchimpStage]:
    with Sandbox() as sandbox:
        yield MailchimpStage(sandbox)


@pytest.fixture
def room(stage: MailchimpStage) -> EmailPlatform:
    return stage.room()


def test_the_cheaper_way_of_reading_is_taken(stage: MailchimpStage, room: EmailPlatform) -> None:
    known = add(stage, 1200)
    before = stage.calls("members")
    assert sum(len(portion) for portion in room.read_members(known)) == 1200
    assert stage.calls("members") - before == 2
    before = stage.calls("members")
    assert sum(len(portion) for portion in room.read_members(known[:3])) == 3
    assert stage.calls("members") - before == 3


def test_the_audience_may_spell_an_address_in_another_way(stage: MailchimpStage, room: EmailPlatform) -> None:
    stage.sandbox.mailchimp.add_member("Dana.Wolf@ACME.example", "unsubscribed")
    (portion,) = room.read_members(["dana.wolf@acme.example"])
    assert portion["dana.wolf@acme.example"].status is MemberStatus.UNSUBSCRIBED


def test_an_answer_about_somebody_else_says_nothing_of_whom_we_asked_about(
    stage: MailchimpStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that serves one contact for another must not make the other contactable (reliability G20)."""
    stage.sandbox.mailchimp.add_member("left@acme.example", "unsubscribed")
    stage.sandbox.mailchimp.add_member("stays@acme.example", "subscribed")
    monkeypatch.setattr(members, "hash_of", lambda _email: hash_of("stays@acme.example"))
    (portion,) = stage.room().read_members(["left@acme.example"])
    assert portion["left@acme.example"].status is MemberStatus.UNKNOWN


@pytest.mark.parametrize("together", [True, False])
def test_a_pull_of_opt_outs_killed_after_any_page_misses_nobody(
    stage: MailchimpStage, room: EmailPlatform, together: bool
) -> None:
    """2,100 people who left: in one second (an import), or one every minute."""
    gone = [f"gone{n}@acme.example" for n in range(2100)]
    for n, email in enumerate(gone):
        at = now() - timedelta(days=9, minutes=0 if together else n)
        stage.sandbox.mailchimp.add_member(email, "unsubscribed", timestamp=at)
    add(stage, 1, "cleaned")
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


def test_who_left_long_ago_is_not_brought_back_by_what_is_written_to_them(
    stage: MailchimpStage, room: EmailPlatform
) -> None:
    gone = add(stage, 3, "unsubscribed", at=LONG_AGO)
    for email in gone:
        stage.sandbox.mailchimp.member(email).last_changed = now()
    (leaver,) = add(stage, 1)
    stage.unsubscribe(leaver)
    before = stage.calls("members")
    assert left(room.pull_opt_outs({"at": now().isoformat()})) == {leaver}
    assert stage.calls("members") - before == 2  # who unsubscribed, and who bounced
    yesterday = {"at": (now() - timedelta(days=1)).isoformat()}
    assert left(room.pull_opt_outs(yesterday)) == {leaver, *gone}  # once a day by change, whatever the reason


def test_more_people_leaving_than_a_page_holds_are_all_found(stage: MailchimpStage, room: EmailPlatform) -> None:
    progress = list(room.pull_opt_outs(None))[-1].progress
    gone = [f"gone{n}@acme.example" for n in range(1100)]
    for n, email in enumerate(gone):
        stage.sandbox.mailchimp.add_member(email, "unsubscribed", timestamp=now() - timedelta(seconds=n))
    pages = room.pull_opt_outs(progress)
    found = [next(pages)]
    for row in found[0].rows[:5]:  # they leave the result: an offset would now skip five others
        stage.sandbox.mailchimp.member(row.email).status = "subscribed"
    assert left([*found, *pages]) == set(gone)


def test_engagement_killed_after_any_page_misses_nothing(stage: MailchimpStage, room: EmailPlatform) -> None:
    people = add(stage, 510)
    for days in (3, 2):
        newsletter(stage, people, now() - timedelta(days=days))
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


def test_late_clicks_on_an_old_campaign_are_found(stage: MailchimpStage, room: EmailPlatform) -> None:
    one, other = add(stage, 2)
    number = newsletter(stage, [one, other], now() - timedelta(days=20), clicks=False)
    progress = list(room.pull_activities("campaigns", None))[-1].progress
    stage.sandbox.mailchimp.add_campaign_activity(number, other, "click", now(), "https://acme.example/late")
    new = [a for page in room.pull_activities("campaigns", progress) for a in page.rows]
    assert [activity.subject for activity in new] == [f"email:{other}"]


def test_a_missing_merge_field_is_noticed_although_the_vendor_is_silent(
    stage: MailchimpStage, room: EmailPlatform
) -> None:
    known = add(stage, 40)
    with pytest.raises(NeedsOperator, match=r"LBSCORE.*leadbridge apply"):
        room.write({email: {"LBSCORE": "1"} for email in known})
    assert stage.calls("members.patch") <= 16  # nobody else would fare better


def test_no_more_calls_than_allowed_are_in_flight(stage: MailchimpStage) -> None:
    room = stage.room(simultaneous=2)
    room.create(room.specs())
    known = add(stage, 30)
    stage.sandbox.mailchimp.settings.max_in_flight = 2  # one more would be answered 429
    stage.sandbox.world.latency = 0.005
    room.write({email: {"LBSCORE": "1"} for email in known})
    assert not any(call.status == 429 for call in stage.sandbox.world.journal)
