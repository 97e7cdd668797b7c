"""`check --live`: where the file and the Mailchimp account do not agree, each with its cure (N22)."""

from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

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


# --- out again, and in by a merge field ------------------------------------------------------------------------------

EXIT = {"tag": "Leadbridge guides", "exit_tag": "Leadbridge done"}


def test_an_exit_tag_that_the_audience_does_not_have_is_told_also_where_journeys_stay_hidden(sandbox: Sandbox) -> None:
    for readable in (True, False):
        sandbox.mailchimp.settings.journeys_readable = readable
        (fault,) = changed(sandbox, mailchimp=EXIT)
        assert fault.where == "nurture.journeys[0].mailchimp.exit_tag"
        assert "has no tag 'Leadbridge done'" in fault.problem
        assert "create the tag" in fault.hint


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("Leadbridge done", None),
        ("LEADBRIDGE DONE", None),
        ("Something else", "looks for another tag than 'Leadbridge done'"),
        (None, "has no exit condition"),
    ],
)
def test_the_exit_condition_of_a_journey_is_held_against_the_tag(
    sandbox: Sandbox, condition: str | None, problem: str | None
) -> None:
    sandbox.mailchimp.add_journey(13, "elsewhere", tag="Another", exit_tag="Leadbridge done")  # so the tag is there
    sandbox.mailchimp.core.state.journeys[11].exit_tag = condition
    found = changed(sandbox, mailchimp=EXIT)
    assert [(one.where, problem in one.problem) for one in found if problem] == (
        [("nurture.journeys[0].mailchimp.exit_tag", True)] if problem else []
    )
    assert len(found) == (problem is not None)
    sandbox.mailchimp.settings.journeys_tell_conditions = False
    assert changed(sandbox, mailchimp=EXIT) == []  # what the account does not tell is no fault


def test_a_tag_that_the_audience_does_not_have_starts_no_journey_though_journeys_stay_hidden(sandbox: Sandbox) -> None:
    sandbox.mailchimp.settings.journeys_readable = False
    assert changed(sandbox, mailchimp={"tag": "LEADBRIDGE guides "}) == []
    (fault,) = changed(sandbox, mailchimp={"tag": "Leadbridge guide"})  # another tag begins so
    assert fault.where == "nurture.journeys[0].mailchimp.tag"
    assert "create the tag" in fault.hint


def mailchimp_field(sandbox: Sandbox, tag: str, kind: str) -> None:
    """A merge field that somebody made."""
    with urllib3.PoolManager() as pool:
        body = {"tag": tag, "name": tag, "type": kind, "public": False, "required": False}
        address = f"{sandbox.url}/3.0/lists/{rooms.AUDIENCE}/merge-fields"
        headers = urllib3.make_headers(basic_auth=f"anybody:{rooms.MAILCHIMP_KEY}")
        assert pool.request("POST", address, headers=headers, json=body).status == 200


def by_field(sandbox: Sandbox, kind: str | None = "text") -> list[Fault]:
    if kind is not None:
        mailchimp_field(sandbox, "LBNEXT", kind)
    return changed(sandbox, mailchimp={"merge_field": "LBNEXT=guides"})


def test_a_merge_field_that_starts_a_journey_must_be_there(sandbox: Sandbox) -> None:
    sandbox.mailchimp.settings.journeys_readable = False
    (fault,) = by_field(sandbox, None)
    assert fault.where == "nurture.journeys[0].mailchimp.merge_field"
    assert "no merge field LBNEXT" in fault.problem
    assert "leadbridge apply" in fault.hint
    assert by_field(sandbox) == []


def test_a_merge_field_of_another_type_is_told(sandbox: Sandbox) -> None:
    (fault,) = by_field(sandbox, "number")
    assert "is of type number" in fault.problem


def test_a_merge_field_that_starts_nothing_is_told_where_the_account_tells_of_starts(sandbox: Sandbox) -> None:
    (fault,) = by_field(sandbox)
    assert fault.problem == "no journey of this audience starts by a change of LBNEXT"
    sandbox.mailchimp.add_journey(13, "by field", merge_field="LBNEXT=guides")
    assert changed(sandbox, mailchimp={"merge_field": "LBNEXT=guides"}) == []
    sandbox.mailchimp.core.state.journeys[13].merge_field = "OTHER=guides"
    sandbox.mailchimp.settings.journeys_tell_conditions = False  # a start that tells nothing may be the one
    assert changed(sandbox, mailchimp={"merge_field": "LBNEXT=guides"}) == []


def test_a_field_to_write_that_is_of_another_type_is_told(sandbox: Sandbox) -> None:
    mailchimp_field(sandbox, "LBSCORE", "text")
    (fault,) = faults(sandbox)
    assert fault.where == "write_back.score.mailchimp"
    assert "is of type text; number is needed" in fault.problem
