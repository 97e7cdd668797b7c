"""Contacts whose company changed, and contacts that are no more: what their own dates do not tell (G11, G13)."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import Page, Progress
from connectors.hubspot.connector import HubSpot
from connectors.hubspot.mapping import contact_ref
from leadbridge import clock
from leadbridge.sandbox.server import Sandbox
from leadbridge.types import Lead, RecordRef
from tests.helpers import rooms


@pytest.fixture(params=["v3", "2026-09"])
def room(request: pytest.FixtureRequest, sandbox: Sandbox) -> HubSpot:
    return rooms.hubspot(rooms.configuration(sandbox.url, hubspot={"api_version": request.param}))


@pytest.fixture
def tomorrow(sandbox: Sandbox) -> Iterator[Any]:
    """Both clocks go on by so many days."""

    def move(days: float) -> None:
        sandbox.world.clock.advance(timedelta(days=days))
        clock.set_source(lambda: datetime.now(UTC) + timedelta(days=days))

    yield move
    clock.set_source(None)


def company_of(sandbox: Sandbox, people: int, employees: int = 7) -> tuple[str, list[str]]:
    company = sandbox.hubspot.add_company({"name": "Acme", "numberofemployees": str(employees)})
    found = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}, company_id=company) for n in range(people)]
    sandbox.hubspot.stamp_contacts(found, datetime.now(UTC) - timedelta(days=9))
    return company, found


def employees(pages: Iterable[Page[Lead]]) -> dict[str, Any]:
    return {lead.ref.record_id: lead.attributes["employees"] for page in pages for lead in page.rows}


def operations(sandbox: Sandbox, since: int) -> list[str]:
    return [call.operation for call in sandbox.world.journal.since(since)]


def first(room: HubSpot) -> Progress:
    return list(room.pull_leads(None))[-1].progress


# --- companies -------------------------------------------------------------------------------------------------------


def test_a_company_that_changed_brings_its_people_with_it(sandbox: Sandbox, room: HubSpot) -> None:
    company, people = company_of(sandbox, 150)
    company_of(sandbox, 3)
    progress = first(room)
    sandbox.hubspot.edit_company(company, {"numberofemployees": "900"})
    found = employees(room.pull_leads(progress))
    assert {one: found.get(one) for one in people} == dict.fromkeys(people, 900)


def test_a_pull_of_companies_killed_after_any_page_misses_nobody(sandbox: Sandbox, room: HubSpot) -> None:
    company, people = company_of(sandbox, 250)
    progress = first(room)
    sandbox.hubspot.edit_company(company, {"numberofemployees": "900"})
    found: dict[str, Any] = {}
    other = rooms.hubspot(rooms.configuration(sandbox.url))  # remembers nothing of what the first one read
    for page in room.pull_leads(progress):
        found |= employees([page])
        progress = page.progress
        if len(found) == 100:
            break
    found |= employees(other.pull_leads(progress))
    assert found == dict.fromkeys(people, 900)


def test_a_change_of_a_company_that_concerns_nothing_we_read_costs_one_search(sandbox: Sandbox, room: HubSpot) -> None:
    company, _ = company_of(sandbox, 30)
    sandbox.hubspot.edit_company(company, {"city": "Graz"})
    pages = list(room.pull_leads(first(room)))
    sandbox.hubspot.edit_company(company, {"city": "Linz"})
    before = len(sandbox.world.journal)
    list(room.pull_leads(pages[-1].progress))
    made = operations(sandbox, before)
    assert "companies.search" in made
    assert "associations.batch.read" not in made


def test_companies_are_not_looked_at_when_no_field_reads_them(sandbox: Sandbox) -> None:
    company, _ = company_of(sandbox, 3)
    room = rooms.hubspot(rooms.configuration(sandbox.url, fields={"job_title": {"hubspot": "jobtitle"}}))
    progress = first(room)
    sandbox.hubspot.edit_company(company, {"numberofemployees": "900"})
    before = len(sandbox.world.journal)
    list(room.pull_leads(progress))
    assert not [one for one in operations(sandbox, before) if one.startswith("companies")]
    assert room.people_behind([RecordRef("hubspot", "company", company)]) == []


def test_an_event_about_a_company_points_at_its_people(sandbox: Sandbox, room: HubSpot) -> None:
    company, people = company_of(sandbox, 3)
    refs = room.people_behind([RecordRef("hubspot", "company", company), RecordRef("hubspot", "deal", "5")])
    assert set(refs) == {contact_ref(one) for one in people}
    assert room.people_behind([RecordRef("hubspot", "company", "not an id")]) == []


def test_a_company_of_very_many_people_is_left_to_the_pull(sandbox: Sandbox, room: HubSpot) -> None:
    company, people = company_of(sandbox, 510)
    assert room.people_behind([RecordRef("hubspot", "company", company)]) == []
    progress = first(room)
    sandbox.hubspot.edit_company(company, {"numberofemployees": "900"})
    assert set(employees(room.pull_leads(progress))) == set(people)


# --- the archived ----------------------------------------------------------------------------------------------------


def gone(pages: Iterable[Page[Lead]]) -> set[str]:
    return {ref.record_id for page in pages for ref in page.gone}


def test_who_was_archived_without_a_word_is_noticed_within_a_day(
    sandbox: Sandbox, room: HubSpot, tomorrow: Any
) -> None:
    _, people = company_of(sandbox, 120)
    progress = first(room)
    for one in people[:110]:
        sandbox.hubspot.archive_contact(one)
    pages = list(room.pull_leads(progress))
    assert gone(pages) == set()  # looked through once a day
    tomorrow(1.01)
    pages = list(room.pull_leads(pages[-1].progress))
    assert gone(pages) == set(people[:110])
    before = len(sandbox.world.journal)
    assert gone(room.pull_leads(pages[-1].progress)) == set()
    assert "contacts.list" not in operations(sandbox, before)


def test_a_look_through_the_archived_killed_after_any_page_misses_nobody(
    sandbox: Sandbox, room: HubSpot, tomorrow: Any
) -> None:
    _, people = company_of(sandbox, 250)
    progress = first(room)
    for one in people:
        sandbox.hubspot.archive_contact(one)
    tomorrow(1.01)
    found: set[str] = set()
    for _ in range(4):  # each process dies after the first page that tells of somebody
        for page in room.pull_leads(progress):
            progress = page.progress
            found |= gone([page])
            if page.gone:
                break
    assert found == set(people)


def test_a_full_pull_looks_through_the_archived_at_once(sandbox: Sandbox, room: HubSpot) -> None:
    _, people = company_of(sandbox, 3)
    progress = first(room)
    sandbox.hubspot.archive_contact(people[0])
    assert gone(room.pull_leads(progress, full=True)) == {people[0]}


def test_who_was_restored_is_not_taken_for_gone(sandbox: Sandbox, room: HubSpot) -> None:
    _, people = company_of(sandbox, 3)
    progress = first(room)
    sandbox.hubspot.archive_contact(people[0])
    sandbox.hubspot.restore_contact(people[0])
    assert gone(room.pull_leads(progress, full=True)) == set()
