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
