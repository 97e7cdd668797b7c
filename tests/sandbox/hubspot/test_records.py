"""One record at a time, and lists of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import requests

from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
ROOTS = ("/crm/v3/objects/contacts", "/crm/objects/2026-03/contacts", "/crm/objects/2026-09/contacts")


def effects(sandbox: Sandbox) -> list[str]:
    return [effect.kind for effect in list(sandbox.world.journal)[-1].effects]


@pytest.mark.parametrize("root", ROOTS)
def test_both_path_families_show_one_store(sandbox: Sandbox, api: Api, root: str) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "ann@x.com", "firstname": "Ann"})
    answer = api("GET", f"{root}/{contact_id}")
    assert answer.status_code == 200
    assert answer.json()["properties"]["firstname"] == "Ann"
    assert answer.headers["Content-Type"] == "application/json;charset=utf-8"


def test_an_unknown_version_is_not_served(api: Api) -> None:
    assert api("GET", "/crm/objects/2025-01/contacts").status_code == 404


@pytest.mark.parametrize("name", ["contacts", "contact", "CONTACTS", "0-1", "contacts/"])
def test_type_names_are_taken_in_every_spelling(sandbox: Sandbox, api: Api, name: str) -> None:
    sandbox.hubspot.add_contact({"email": "ann@x.com"})
    assert len(api("GET", f"/crm/v3/objects/{name}").json()["results"]) == 1


def test_an_unknown_type_is_400_without_category(api: Api) -> None:
    answer = api("GET", "/crm/v3/objects/butterflies")
    assert answer.status_code == 400
    assert answer.json()["message"] == "Unable to infer object type from: butterflies"
    assert "category" not in answer.json()


def test_list_goes_by_id_and_after_is_the_next_id(sandbox: Sandbox, api: Api) -> None:
    ids = [sandbox.hubspot.add_contact({"email": f"p{n}@x.com"}) for n in range(60)]
    seen, after = [], None
    while True:
        page = api("GET", ROOTS[0], params={"limit": 25, **({"after": after} if after else {})}).json()
        assert "total" not in page
        seen += [row["id"] for row in page["results"]]
        if "paging" not in page:
            break
        after = page["paging"]["next"]["after"]
        assert after == ids[len(seen)]
    assert seen == ids
    assert seen != sorted(seen)  # ids of three and four digits: text order would be another


@pytest.mark.parametrize(("params", "status"), [({"limit": 100}, 200), ({"limit": 101}, 400), ({"limit": 0}, 400)])
def test_list_limit(api: Api, params: dict[str, str], status: int) -> None:
    assert api("GET", ROOTS[0], params=params).status_code == status


def test_list_limit_is_50_with_history(api: Api) -> None:
    wanted = {"propertiesWithHistory": "jobtitle"}
    assert api("GET", ROOTS[0], params={"limit": 50, **wanted}).status_code == 200
    assert api("GET", ROOTS[0], params={"limit": 51, **wanted}).status_code == 400


def test_properties_are_taken_by_comma_and_repeated(sandbox: Sandbox, api: Api) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "a@x.com", "jobtitle": "CTO", "city": "Bonn"})
    by_comma = api("GET", f"{ROOTS[0]}/{contact_id}?properties=jobtitle,city").json()
    repeated = api("GET", f"{ROOTS[0]}/{contact_id}?properties=jobtitle&properties=city").json()
    assert by_comma == repeated
    assert {"createdate", "hs_object_id", "lastmodifieddate"} < by_comma["properties"].keys()


def test_an_empty_property_is_null_and_an_unknown_one_is_left_out(sandbox: Sandbox, api: Api) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "a@x.com"})
    shown = api("GET", f"{ROOTS[0]}/{contact_id}?properties=jobtitle,nonsense").json()["properties"]
    assert shown["jobtitle"] is None
    assert "nonsense" not in shown


def test_custom_properties_come_only_when_asked_for(sandbox: Sandbox, api: Api) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "a@x.com", "jobtitle": "CTO"})
    assert "jobtitle" not in api("GET", f"{ROOTS[0]}/{contact_id}").json()["properties"]


def test_a_url_that_is_too_long_is_414(api: Api) -> None:
    assert api("GET", ROOTS[0], params={"properties": ",".join(f"property_{n}" for n in range(900))}).status_code == 414


def test_email_in_the_path_is_decoded_once(sandbox: Sandbox, api: Api) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "a+b@x.com"})
    right = api("GET", f"{ROOTS[0]}/a%2Bb%40x.com?idProperty=email")
    assert right.json()["id"] == contact_id
    twice = api("GET", f"{ROOTS[0]}/a%252Bb%2540x.com?idProperty=email")
    assert twice.status_code == 404
    assert twice.json()["message"] == "resource not found"


def test_an_id_that_is_no_number_says_so(api: Api) -> None:
    answer = api("GET", f"{ROOTS[0]}/ann@x.com")
    assert answer.status_code == 404
    assert answer.json()["message"] == "Object not found.  objectId are usually numeric."


def test_email_is_unique_whatever_the_case(sandbox: Sandbox, api: Api) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "ann@x.com"})
    answer = api("POST", ROOTS[0], json={"properties": {"email": "ANN@X.com"}})
    assert answer.status_code == 409
    assert answer.json()["message"] == f"Contact already exists. Existing ID: {contact_id}"
    assert answer.json()["category"] == "CONFLICT"


def test_a_company_domain_is_not_unique(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.add_company({"domain": "x.com"})
    assert api("POST", "/crm/v3/objects/companies", json={"properties": {"domain": "x.com"}}).status_code == 201


def test_a_record_needs_a_name_of_some_kind(api: Api) -> None:
    assert api("POST", ROOTS[0], json={"properties": {"jobtitle": "CTO"}}).status_code == 400
    assert api("POST", "/crm/v3/objects/companies", json={"properties": {"city": "Bonn"}}).status_code == 400


def test_a_write_answers_only_what_was_written_and_automatic_properties(sandbox: Sandbox, api: Api) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "a@x.com", "city": "Bonn", "lifecyclestage": "lead"})
    answer = api("PATCH", f"{ROOTS[0]}/{contact_id}", json={"properties": {"jobtitle": "CTO"}})
    assert answer.status_code == 200
    assert answer.json()["properties"]["jobtitle"] == "CTO"
    assert answer.json()["properties"]["lifecyclestage"] == "lead"
    assert "city" not in answer.json()["properties"]
    assert effects(sandbox) == ["property_changed"]


def test_null_changes_nothing_and_empty_text_clears(sandbox: Sandbox, api: Api) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "a@x.com", "jobtitle": "CTO"})
    path = f"{ROOTS[0]}/{contact_id}?properties=jobtitle"
    api("PATCH", path, json={"properties": {"jobtitle": None}})
    assert api("GET", path).json()["properties"]["jobtitle"] == "CTO"
    api("PATCH", path, json={"properties": {"jobtitle": ""}})
    assert api("GET", path).json()["properties"]["jobtitle"] is None


@pytest.mark.parametrize("bumps", [True, False])
def test_an_equal_write_moves_the_modified_date_by_switch(sandbox: Sandbox, api: Api, bumps: bool) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "a@x.com", "jobtitle": "CTO"})
    sandbox.hubspot.settings.equal_write_bumps = bumps
    before = api("GET", f"{ROOTS[0]}/{contact_id}").json()["updatedAt"]
    sandbox.world.clock.advance(timedelta(minutes=1))
    after = api("PATCH", f"{ROOTS[0]}/{contact_id}", json={"properties": {"jobtitle": "CTO"}}).json()["updatedAt"]
    assert (after > before) is bumps
    assert effects(sandbox) == ["property_written_equal"]


def test_history_is_newest_first_with_its_source(sandbox: Sandbox, api: Api) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "a@x.com", "jobtitle": "Dev"})
    sandbox.hubspot.edit_contact(contact_id, {"jobtitle": "CTO"})
    answer = api("GET", f"{ROOTS[0]}/{contact_id}?propertiesWithHistory=jobtitle").json()
    versions = answer["propertiesWithHistory"]["jobtitle"]
    assert [(one["value"], one["sourceType"]) for one in versions] == [("CTO", "CRM_UI"), ("Dev", "SEED")]


def test_archived_records_are_found_only_as_archived(sandbox: Sandbox, api: Api) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "a@x.com"})
    assert api("DELETE", f"{ROOTS[0]}/{contact_id}").status_code == 204
    assert api("DELETE", f"{ROOTS[0]}/{contact_id}").status_code == 204
    assert api("GET", f"{ROOTS[0]}/{contact_id}").status_code == 404
    assert api("GET", ROOTS[0]).json()["results"] == []
    [row] = api("GET", f"{ROOTS[0]}?archived=true").json()["results"]
    assert row["archived"] is True
    assert row["archivedAt"] == "2026-11-22T02:00:00.000Z"


def test_a_restored_contact_comes_back_with_its_id(sandbox: Sandbox, api: Api) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "a@x.com"})
    sandbox.hubspot.archive_contact(contact_id)
    sandbox.hubspot.restore_contact(contact_id)
    assert api("GET", f"{ROOTS[0]}/a@x.com?idProperty=email").json()["id"] == contact_id


def test_a_merge_makes_a_new_record_and_old_ids_lead_to_it(sandbox: Sandbox, api: Api) -> None:
    company = sandbox.hubspot.add_company({"name": "X"})
    one = sandbox.hubspot.add_contact({"email": "a@x.com", "firstname": "Ann"})
    two = sandbox.hubspot.add_contact({"email": "b@x.com", "jobtitle": "CTO"}, company_id=company)
    merged = api("POST", f"{ROOTS[0]}/merge", json={"primaryObjectId": one, "objectIdToMerge": two}).json()
    assert merged["id"] not in (one, two)
    assert merged["properties"]["email"] == "a@x.com"
    assert merged["properties"]["jobtitle"] == "CTO"
    assert merged["properties"]["hs_merged_object_ids"] == f"{one};{two}"
    assert merged["properties"]["hs_additional_emails"] == "b@x.com"
    assert merged["properties"]["associatedcompanyid"] == company
    assert {api("GET", f"{ROOTS[0]}/{old}").json()["id"] for old in (one, two)} == {merged["id"]}
    assert api("GET", f"{ROOTS[0]}/b@x.com?idProperty=email").json()["id"] == merged["id"]
    assert [row["id"] for row in api("GET", ROOTS[0]).json()["results"]] == [merged["id"]]


def test_aliases_survive_a_second_merge(sandbox: Sandbox, api: Api) -> None:
    one, two, three = (sandbox.hubspot.add_contact({"email": f"{name}@x.com"}) for name in "abc")
    last = sandbox.hubspot.merge(three, sandbox.hubspot.merge(one, two))
    assert {api("GET", f"{ROOTS[0]}/{old}").json()["id"] for old in (one, two, three)} == {last}


def test_a_privacy_deletion_leaves_nothing(sandbox: Sandbox, api: Api) -> None:
    hubspot, at = sandbox.hubspot, datetime(2026, 11, 1, tzinfo=UTC)
    contact_id = hubspot.add_contact({"email": "a@x.com"})
    form = hubspot.add_form("Contact us")
    hubspot.add_form_submission(form, at, {"email": "A@x.com"})
    hubspot.add_email_event("OPEN", "a@x.com", at)
    hubspot.add_event(contact_id, "e_visited_page", at, {})
    body = {"objectId": "a@x.com", "idProperty": "email"}
    assert api("POST", f"{ROOTS[0]}/gdpr-delete", json=body).status_code == 204
    dump = hubspot.dump()
    assert dump["objects"]["contacts"] == {}
    assert (dump["events"], dump["email_events"], dump["submissions"][form]) == ([], [], [])
    assert api("GET", f"{ROOTS[0]}?archived=true").json()["results"] == []


def test_a_privacy_deletion_of_an_unknown_address_is_204_too(sandbox: Sandbox, api: Api) -> None:
    body = {"objectId": "who@x.com", "idProperty": "email"}
    assert api("POST", f"{ROOTS[0]}/gdpr-delete", json=body).status_code == 204
    assert sandbox.hubspot.dump()["blocked_emails"] == ["who@x.com"]


def test_associations_in_a_read_repeat_the_id_once_per_type(sandbox: Sandbox, api: Api) -> None:
    company = sandbox.hubspot.add_company({"name": "X"})
    contact_id = sandbox.hubspot.add_contact({"email": "a@x.com"}, company_id=company)
    rows = api("GET", f"{ROOTS[0]}/{contact_id}?associations=companies").json()["associations"]["companies"]["results"]
    assert rows == [
        {"id": company, "type": "contact_to_company"},
        {"id": company, "type": "contact_to_company_unlabeled"},
    ]


def test_a_create_can_bring_its_associations(sandbox: Sandbox, api: Api) -> None:
    contact_id = sandbox.hubspot.add_contact({"email": "a@x.com"})
    wanted = [{"to": {"id": contact_id}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]}]
    answer = api("POST", "/crm/v3/objects/deals", json={"properties": {"dealname": "D"}, "associations": wanted})
    assert answer.status_code == 201
    assert sandbox.hubspot.dump()["associations"][f"contacts/{contact_id}/deals"] == {answer.json()["id"]: [4]}
