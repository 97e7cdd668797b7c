"""Ways into a journey and out of it, over the real client; the sandbox's journal says what really happened."""

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.base import Entry, Outcome
from connectors.mailchimp.connector import Mailchimp
from leadbridge.errors import FeatureMissing, NeedsOperator
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from tests.helpers import rooms

WHO = "dana@acme.example"
WAYS: dict[str, dict[str, str]] = {
    "tag": {"tag": "Guides", "exit_tag": "Guides done"},
    "field": {"merge_field": "LBNEXT=case studies", "exit_tag": "Studies done"},
    "trigger": {"trigger": "journeys/13/steps/34", "exit_tag": "Demo done"},
    "no way out": {"tag": "Webinar"},
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        add = sandbox.mailchimp.add_journey
        add(11, "guides", tag="Guides", exit_tag="Guides done", reentry=True)
        add(12, "studies", merge_field="LBNEXT=case studies", exit_tag="Studies done", reentry=True)
        add(13, "demo", step_id=34, exit_tag="Demo done", reentry=True)
        sandbox.mailchimp.add_member(WHO, "subscribed")
        yield sandbox


@pytest.fixture
def room(sandbox: Sandbox) -> Mailchimp:
    journeys = [{"name": name, "mailchimp": way, "when": {"email": {"present": True}}} for name, way in WAYS.items()]
    return rooms.mailchimp(rooms.configuration(sandbox.url, journeys=journeys))


def effects(sandbox: Sandbox, kind: str) -> list[dict[str, Any]]:
    return [dict(one.detail) for call in sandbox.world.journal for one in call.effects if one.kind == kind]


def prepared(room: Mailchimp) -> Mailchimp:
    room.create(room.specs())
    return room


@pytest.mark.parametrize("way", ["tag", "field", "trigger"])
def test_every_way_in_enters_and_every_exit_tag_leads_out_and_lets_in_again(
    sandbox: Sandbox, room: Mailchimp, way: str
) -> None:
    prepared(room)
    assert room.enrol(way, WHO)[0] is Entry.ENTERED
    assert len(effects(sandbox, "mail_sent")) == 1
    for _ in range(2):  # safe to repeat
        assert room.leave(way, WHO).outcome is Outcome.WRITTEN
    assert len(effects(sandbox, "journey_left")) == 1
    assert room.enrol(way, WHO, again=True)[0] is Entry.ENTERED  # the exit tag is off again, or it would turn them away
    assert len(effects(sandbox, "mail_sent")) == 2


@pytest.mark.parametrize("way", ["tag", "field"])
def test_without_being_asked_to_nobody_enters_again(sandbox: Sandbox, room: Mailchimp, way: str) -> None:
    prepared(room)
    for _ in range(3):
        assert room.enrol(way, WHO)[0] is Entry.ENTERED
    assert len(effects(sandbox, "mail_sent")) == 1


@pytest.mark.parametrize("way", ["tag", "field"])
def test_what_an_earlier_entry_left_behind_proves_nothing_of_a_later_one(room: Mailchimp, way: str) -> None:
    prepared(room)
    assert room.entered(way, WHO) is False
    room.enrol(way, WHO)
    assert room.entered(way, WHO) is True
    assert room.entered(way, WHO, again=True) is None
    assert room.entered(way, "nobody@acme.example") is False


def test_a_field_that_says_something_else_by_now_proves_nothing(sandbox: Sandbox, room: Mailchimp) -> None:
    prepared(room)
    room.write({WHO: {"LBNEXT": "another"}})
    assert room.entered("field", WHO) is None


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
@pytest.mark.parametrize("way", ["tag", "field", "trigger"])
def test_trouble_while_getting_ready_or_starting_enters_nobody_twice(
    sandbox: Sandbox, room: Mailchimp, way: str, fault: Any
) -> None:
    prepared(room)
    room.enrol(way, WHO)
    for passed in range(3):  # at each of the calls a re-entry makes
        before = len(effects(sandbox, "mail_sent"))
        sandbox.world.faults.clear()
        sandbox.world.faults.add(Fault(fault, skip=passed))
        entry, _ = room.enrol(way, WHO, again=True)
        sent = len(effects(sandbox, "mail_sent")) - before
        assert sent <= 1
        if entry is Entry.NOTHING_HAPPENED:
            assert sent == 0


def test_an_audience_without_the_field_is_not_taken_for_an_entry(sandbox: Sandbox, room: Mailchimp) -> None:
    """Unknown merge tags are ignored by Mailchimp without a word."""
    with pytest.raises(NeedsOperator, match="LBNEXT"):
        room.enrol("field", WHO)
    assert [spec.name for spec in room.missing(room.specs())].count("LBNEXT") == 1


def test_who_cannot_be_taken_out_is_said_beforehand(room: Mailchimp) -> None:
    assert room.can_leave("tag")
    assert not room.can_leave("no way out")
    assert not room.can_leave("gone")
    with pytest.raises(FeatureMissing, match="exit_tag"):
        room.leave("no way out", WHO)


def test_leaving_somebody_who_is_not_in_the_audience_says_so(room: Mailchimp) -> None:
    assert room.leave("tag", "nobody@acme.example").outcome is Outcome.GONE
