"""Tasks for sales: made once whatever happens on the way, safe to read, and followed up. Real SDK, real HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import Outcome, SalesTask
from connectors.hubspot.connector import HubSpot
from connectors.hubspot.mapping import contact_ref
from leadbridge.errors import FeatureMissing, NeedsOperator
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from tests.helpers import rooms

DUE = datetime(2027, 3, 1, 16, 0, tzinfo=UTC)


@pytest.fixture(params=["v3", "2026-09"])
def room(request: pytest.FixtureRequest, sandbox: Sandbox) -> HubSpot:
    return rooms.hubspot(rooms.configuration(sandbox.url, hubspot={"api_version": request.param}))


def contacts(sandbox: Sandbox, count: int = 1) -> list[str]:
    return [sandbox.hubspot.add_contact({"email": f"lead{n}@acme.example"}) for n in range(count)]


def task(contact: str, key: str = "k1", **more: Any) -> SalesTask:
    given: dict[str, Any] = {"subject": "Call Ann", "body": "pricing page +16\ndemo page +11", "due_at": DUE}
    return SalesTask(key, contact_ref(contact), **(given | more))


def held(sandbox: Sandbox) -> dict[str, dict[str, str]]:
    """Every task the account has: id to properties."""
    found = sandbox.hubspot.dump()["objects"]["tasks"]
    return {one: row["properties"] for one, row in found.items() if not row["archived"]}


def calls(sandbox: Sandbox, operation: str) -> int:
    return sum(call.operation == operation for call in sandbox.world.journal)


def test_a_task_is_made_with_its_person_owner_and_time(sandbox: Sandbox, room: HubSpot) -> None:
    (ann,) = contacts(sandbox)
    made = room.create_tasks([task(ann, owner=sandbox.hubspot.add_owner("rep@own.example", "Rita", "Rep"))])
    assert made["k1"].outcome is Outcome.WRITTEN
    (one,) = held(sandbox).items()
    assert one[0] == made["k1"].task_id
    assert one[1]["hs_timestamp"].startswith("2027-03-01T16:00")
    assert one[1]["hs_task_subject"] == "Call Ann"
    assert one[1]["hs_task_status"] == "NOT_STARTED"
    assert list(sandbox.hubspot.dump()["associations"][f"tasks/{one[0]}/contacts"]) == [ann]


def test_a_hundred_tasks_cost_one_creating_call(sandbox: Sandbox, room: HubSpot) -> None:
    made = room.create_tasks([task(one, f"k{one}") for one in contacts(sandbox, 100)])
    assert {one.outcome for one in made.values()} == {Outcome.WRITTEN}
    assert calls(sandbox, "tasks.batch.create") == 1


def test_a_task_asked_for_again_is_found_not_made_again(sandbox: Sandbox, room: HubSpot) -> None:
    (ann,) = contacts(sandbox)
    first = room.create_tasks([task(ann), task(ann, "k2")])
    again = room.create_tasks([task(ann), task(ann, "k2")])
    assert again == first
    assert len(held(sandbox)) == 2


def test_an_answer_lost_on_the_way_makes_no_second_task(sandbox: Sandbox, room: HubSpot) -> None:
    (ann,) = contacts(sandbox)
    sandbox.world.faults.add(Fault("reset_after", operation="tasks.batch.create"))
    assert room.create_tasks([task(ann)])["k1"].outcome is Outcome.UNANSWERED
    assert room.create_tasks([task(ann)])["k1"].outcome is Outcome.WRITTEN
    assert len(held(sandbox)) == 1


def test_one_bad_task_does_not_keep_the_others_from_being_made(sandbox: Sandbox, room: HubSpot) -> None:
    ann, ben, cid = contacts(sandbox, 3)
    sandbox.hubspot.archive_contact(ben)
    made = room.create_tasks([task(ann, "a"), task(ben, "b"), task(cid, "c"), task("no id", "d")])
    assert {key: one.outcome for key, one in made.items()} == {
        "a": Outcome.WRITTEN,
        "b": Outcome.GONE,
        "c": Outcome.WRITTEN,
        "d": Outcome.REFUSED,
    }
    assert len(held(sandbox)) == 2


def test_the_text_of_a_lead_stays_text(sandbox: Sandbox, room: HubSpot) -> None:
    (ann,) = contacts(sandbox)
    room.create_tasks([task(ann, body='<img src=x onerror="alert(1)">\nsecond line')])
    (one,) = held(sandbox).values()
    assert "<img" not in one["hs_task_body"]
    assert one["hs_task_body"].count("<br>") == 2


def test_what_became_of_a_task_is_told(sandbox: Sandbox, room: HubSpot) -> None:
    made = room.create_tasks([task(one, f"k{one}") for one in contacts(sandbox, 3)])
    done, deleted, still_open = (one.task_id for one in made.values())
    rooms.hubspot_api(
        sandbox, "PATCH", f"/crm/v3/objects/tasks/{done}", {"properties": {"hs_task_status": "COMPLETED"}}
    )
    rooms.hubspot_api(sandbox, "DELETE", f"/crm/v3/objects/tasks/{deleted}")
    states = room.read_tasks([done, deleted, still_open])
    at = states[done].done_at
    assert at is not None
    assert abs(at - sandbox.world.clock.now()) < timedelta(minutes=1)
    assert states[deleted].gone
    assert states[still_open].done_at is None
    assert not states[still_open].gone


def test_a_token_without_the_scope_needs_an_operator(sandbox: Sandbox, room: HubSpot) -> None:
    (ann,) = contacts(sandbox)
    sandbox.world.faults.add(Fault("status", operation="tasks.batch.create", status=403))
    with pytest.raises(NeedsOperator):
        room.create_tasks([task(ann)])


def test_a_room_that_makes_no_tasks_says_so(sandbox: Sandbox, room: HubSpot) -> None:
    (ann,) = contacts(sandbox)
    with pytest.raises(FeatureMissing):
        super(HubSpot, room).create_tasks([task(ann)])
