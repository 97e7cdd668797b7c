"""`check --live`: where the file and the Mailchimp account do not agree, each with its cure (N22)."""

from collections.abc import Iterator
from typing import Any

import pytest

from leadbridge.errors import Fault
from leadbridge.sandbox.server import Sandbox
from tests.helpers import rooms


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        sandbox.mailchimp.settings.journeys_readable = True
        sandbox.mailchimp.add_journey(11, "guides", tag="Leadbridge guides")
        sandbox.mailchimp.add_journey(12, "demo", step_id=34)
        yield sandbox


def faults(sandbox: Sandbox, **mailchimp: Any) -> list[Fault]:
    return rooms.mailchimp(rooms.configuration(sandbox.url, mailchimp=mailchimp)).faults()


def test_an_account_that_fits_has_no_faults(sandbox: Sandbox) -> None:
    assert faults(sandbox) == []


def test_an_audience_that_is_not_there_is_told_with_those_that_are(sandbox: Sandbox) -> None:
    (fault,) = faults(sandbox, audience="nosuch")
    assert fault.where == "connections.mailchimp.audience"
    assert rooms.AUDIENCE in fault.hint


def test_a_journey_that_was_deleted_is_told_where_the_account_tells_of_journeys(sandbox: Sandbox) -> None:
    del sandbox.mailchimp.core.state.journeys[12]
    (fault,) = faults(sandbox)
    assert fault.where == "nurture.journeys[1].mailchimp.trigger"
    sandbox.mailchimp.settings.journeys_readable = False
    assert faults(sandbox) == []


def changed(sandbox: Sandbox, **journey: Any) -> list[Fault]:
    """Faults with the guides journey of the file changed so."""
    first, second = rooms.JOURNEYS
    return rooms.mailchimp(rooms.configuration(sandbox.url, journeys=[first | journey, second])).faults()


def test_a_tag_that_starts_no_journey_is_told_with_the_journeys_there_are(sandbox: Sandbox) -> None:
    assert changed(sandbox, mailchimp={"tag": "LEADBRIDGE guides "}) == []  # the service has changed the case of names
    (fault,) = changed(sandbox, mailchimp={"tag": "Leadbridge guidse"})
    assert fault.where == "nurture.journeys[0].mailchimp.tag"
    assert "11 (guides)" in fault.hint


def test_an_address_of_no_step_of_its_journey_is_told(sandbox: Sandbox) -> None:
    sandbox.mailchimp.core.state.journeys[12].step_id = 99
    (fault,) = faults(sandbox)
    assert (fault.where, fault.problem) == ("nurture.journeys[1].mailchimp.trigger", "journey 12 has no step 34")


def test_a_paused_journey_and_one_that_lets_nobody_in_twice_are_told(sandbox: Sandbox) -> None:
    again = {"re_enter_after": "30d"}
    (fault,) = changed(sandbox, **again)
    assert "lets nobody in twice" in fault.problem
    sandbox.mailchimp.core.state.journeys[11].reentry = True
    assert changed(sandbox, **again) == []
    sandbox.mailchimp.pause_journey(11)
    (fault,) = changed(sandbox)
    assert "is paused" in fault.problem
