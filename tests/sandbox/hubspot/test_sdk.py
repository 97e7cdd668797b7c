"""HubSpot's own SDK, which knows nothing of this stand-in, runs against it and understands every answer."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hubspot import HubSpot as Sdk

from leadbridge.sandbox.server import Sandbox

AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def sdk(sandbox: Sandbox) -> Iterator[Callable[[Any], Any]]:
    """Turns an api object of the SDK to the sandbox: ``sdk(client.crm.contacts.basic_api)``."""
    pools = []

    def turned(api: Any) -> Any:
        api.api_client.configuration.host = sandbox.url
        pools.append(api.api_client.rest_client.pool_manager)
        return api

    yield turned
    for pool in pools:
        pool.clear()


@pytest.fixture
def client() -> Any:
    return Sdk(access_token="sandbox-hubspot-token")


def test_contacts(sandbox: Sandbox, client: Any, sdk: Callable[[Any], Any]) -> None:
    basic, batch, search = (
        sdk(api)
        for api in (client.crm.contacts.basic_api, client.crm.contacts.batch_api, client.crm.contacts.search_api)
    )
    company = sandbox.hubspot.add_company({"name": "X"})
    contact = sandbox.hubspot.add_contact({"email": "ann@x.com"}, company_id=company)
    page = basic.get_page(limit=10, properties=["email", "jobtitle"], associations=["companies"])
    assert page.results[0].created_at == datetime(2026, 11, 22, 2, tzinfo=UTC)
    assert page.results[0].associations["companies"].results[0].id == company
    assert basic.update(contact, {"properties": {"jobtitle": "CTO"}}).properties["jobtitle"] == "CTO"
    with_history = basic.get_by_id(contact, properties_with_history=["jobtitle"])
    assert with_history.properties_with_history["jobtitle"][0].value == "CTO"
    assert basic.get_by_id("ann@x.com", id_property="email").id == contact
    body = {"inputs": [{"id": contact}, {"id": "5"}], "properties": ["email"], "propertiesWithHistory": []}
    read = batch.read(body)
    assert (read.num_errors, read.errors[0].context["ids"]) == (1, ["5"])
    inputs = [{"id": contact, "properties": {"jobtitle": "CEO"}}]
    assert batch.update({"inputs": inputs}).results[0].id == contact
    upsert = {"inputs": [{"id": "new@x.com", "idProperty": "email", "properties": {}}]}
    assert batch.upsert(upsert).results[0].new is True
    made = batch.create({"inputs": [{"properties": {"email": "b@x.com"}, "associations": []}]})
    found = search.do_search({"query": "b@x.com", "limit": 5, "after": "0", "sorts": [], "filterGroups": []})
    assert (found.total, found.results[0].id) == (1, made.results[0].id)
    merged = basic.merge({"primaryObjectId": contact, "objectIdToMerge": made.results[0].id})
    assert basic.get_by_id(contact).id == merged.id
    basic.purge({"objectId": merged.id})
    basic.archive(batch.read({**body, "idProperty": "email", "inputs": [{"id": "new@x.com"}]}).results[0].id)
    assert basic.get_page().results == []


def test_an_error_is_the_sdks_own_exception(client: Any, sdk: Callable[[Any], Any]) -> None:
    basic = sdk(client.crm.contacts.basic_api)
    with pytest.raises(Exception, match="resource not found") as raised:
        basic.get_by_id("5")
    assert type(raised.value).__name__ == "NotFoundException"


def test_properties(client: Any, sdk: Callable[[Any], Any]) -> None:
    core, groups = sdk(client.crm.properties.core_api), sdk(client.crm.properties.groups_api)
    assert groups.create("contacts", {"name": "acme", "label": "Acme"}).label == "Acme"
    given = {"name": "acme_score", "label": "Score", "type": "number", "fieldType": "number", "groupName": "acme"}
    assert core.create("contacts", given).name == "acme_score"
    assert core.update("contacts", "acme_score", {"label": "Points"}).label == "Points"
    everything = {prop.name: prop for prop in core.get_all("contacts").results}
    assert everything["hs_email_open"].modification_metadata.read_only_value is True
    assert everything["lifecyclestage"].options[0].value == "subscriber"
    core.archive("contacts", "acme_score")


def test_companies_deals_and_activities(sandbox: Sandbox, client: Any, sdk: Callable[[Any], Any]) -> None:
    contact = sandbox.hubspot.add_contact({"email": "ann@x.com"})
    company = sandbox.hubspot.add_company({"name": "X"})
    sandbox.hubspot.add_deal({"dealname": "D", "amount": "100"}, [contact])
    meeting = sandbox.hubspot.add_engagement("meetings", contact, {"hs_meeting_outcome": "COMPLETED"})
    assert sdk(client.crm.companies.basic_api).get_page().results[0].id == company
    assert sdk(client.crm.deals.basic_api).get_page().results[0].properties["amount"] == "100"
    found = sdk(client.crm.objects.meetings.search_api).do_search({"limit": 10, "properties": ["hs_meeting_outcome"]})
    assert found.results[0].properties["hs_meeting_outcome"] == "COMPLETED"
    assert found.results[0].id == meeting
    assert sdk(client.crm.objects.basic_api).get_page("meetings").results[0].id == meeting
    assert sdk(client.crm.pipelines.pipelines_api).get_all("deals").results[0].stages[0].label


def test_associations(sandbox: Sandbox, client: Any, sdk: Callable[[Any], Any]) -> None:
    company = sandbox.hubspot.add_company({"name": "X"})
    contact = sandbox.hubspot.add_contact({"email": "ann@x.com"}, company_id=company)
    alone = sandbox.hubspot.add_contact({"email": "bob@x.com"})
    batch, basic = sdk(client.crm.associations.v4.batch_api), sdk(client.crm.associations.v4.basic_api)
    read = batch.get_page("contacts", "companies", {"inputs": [{"id": contact}, {"id": alone}]})
    assert (read.num_errors, read.results[0].to[0].association_types[0].label) == (1, "Primary")
    assert basic.get_page("contacts", contact, "companies").results[0].to_object_id in (company, int(company))
    inputs = [{"from": {"id": alone}, "to": {"id": company}}]
    made = batch.create_default("contacts", "companies", {"inputs": inputs})
    assert made.results[0].association_spec.association_type_id == 279
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]
    assert batch.create("contacts", "companies", {"inputs": [{**inputs[0], "types": types}]}).status == "COMPLETE"
    batch.archive("contacts", "companies", {"inputs": [{"from": {"id": alone}, "to": [{"id": company}]}]})


def test_everything_else(sandbox: Sandbox, client: Any, sdk: Callable[[Any], Any]) -> None:
    hubspot = sandbox.hubspot
    contact = hubspot.add_contact({"email": "ann@x.com", "hs_email_optout": "true"})
    owner = hubspot.add_owner("sam@x.com", "Sam", "Sales")
    members = hubspot.add_list("Newsletter")
    hubspot.add_list_member(members, contact, AT)
    form = hubspot.add_form("Contact us")
    hubspot.add_event(contact, "e_visited_page", AT, {"hs_url": "/"})
    assert sdk(client.crm.owners.owners_api).get_page().results[0].id == owner
    memberships = sdk(client.crm.lists.memberships_api)
    assert memberships.get_page(members).results[0].record_id == contact
    assert memberships.remove(members, [contact]).record_ids_removed == [contact]
    assert memberships.add(members, [contact, "5"]).records_ids_added == [contact]
    assert sdk(client.crm.lists.lists_api).do_search({"query": "news"}).lists[0].name == "Newsletter"
    events = sdk(client.events.events_api)
    seen = events.get_page(object_type="contact", object_id=int(contact), occurred_after=AT)
    assert seen.results[0].occurred_at == AT
    assert "e_visited_page" in events.get_types().event_types
    assert sdk(client.marketing.forms.forms_api).get_page().results[0].id == form
    status = sdk(client.communication_preferences.status_api).get_email_status("ann@x.com")
    assert status.subscription_statuses[0].status == "NOT_SUBSCRIBED"


def test_oauth(sandbox: Sandbox, sdk: Callable[[Any], Any]) -> None:
    tokens = sdk(Sdk().oauth.tokens_api)
    granted = tokens.create(
        grant_type="refresh_token",
        refresh_token="sandbox-hubspot-refresh",
        client_id="sandbox-hubspot-client",
        client_secret="sandbox-hubspot-secret",
    )
    assert granted.expires_in == 1800
    contacts = sdk(Sdk(access_token=granted.access_token).crm.contacts.basic_api)
    assert contacts.get_page().results == []
