"""The file and the accounts are compared while leadbridge runs; where they do not agree an operator is called (N22)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from leadbridge.config.scores import Drift
from leadbridge.store import Store
from sync import figures
from sync.worker import Rounds
from tests.helpers import rooms
from tests.helpers.syncing import BUDGET, TAG, Moving, Stage, journey, stage


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    with stage(store, nurture={"journeys": [journey(TAG)]}) as found:
        found.sandbox.mailchimp.settings.journeys_readable = True
        yield found


def wanted(made: Stage) -> list[str]:
    """What waits for an operator after a round of pulling."""
    Rounds(made.parts, rung=lambda: False).pull()
    return figures.read(made.store, made.config).needs_operator


def test_a_property_taken_away_or_a_journey_that_stands_still_is_shown_within_a_day_until_it_is_mended(
    made: Stage, time: Moving
) -> None:
    assert wanted(made) == []
    rooms.hubspot_api(made.sandbox, "DELETE", "/crm/v3/properties/contacts/budget_amount")
    rooms.hubspot_api(made.sandbox, "DELETE", "/crm/v3/properties/contacts/leadbridge_grade")
    made.sandbox.mailchimp.pause_journey(11)
    looked = made.calls("properties.list")
    time.on(hours=1)
    assert wanted(made) == []  # looked at today
    assert made.calls("properties.list") == looked
    time.on(hours=24)
    told = wanted(made)
    for where in ("fields.budget.hubspot", "hubspot leadbridge_grade", "nurture.journeys"):
        assert sum(one.startswith(where) for one in told) == 1, told

    made.sandbox.hubspot.add_property("contacts", BUDGET)
    made.sandbox.mailchimp.pause_journey(11, paused=False)
    made.apply()
    time.on(minutes=16)
    assert wanted(made) == []


def test_a_file_that_was_changed_is_compared_at_once_and_not_again_until_a_day_is_over(
    made: Stage, time: Moving
) -> None:
    assert wanted(made) == []
    looked = made.calls("properties.list")
    time.on(minutes=1)
    assert wanted(made) == []
    assert made.calls("properties.list") == looked
    rooms.hubspot_api(made.sandbox, "DELETE", "/crm/v3/properties/contacts/budget_amount")
    changed = replace(made.parts, config=made.config.model_copy(update={"drift": Drift(points=2)}))
    Rounds(changed, rung=lambda: False).pull()
    assert [one.split(":")[0] for one in figures.read(made.store, made.config).needs_operator] == [
        "fields.budget.hubspot"
    ]


def test_an_account_that_cannot_be_asked_is_no_disagreement(made: Stage, time: Moving) -> None:
    made.fault("status", "properties.list", status=503, times=100)
    assert wanted(made) == []
