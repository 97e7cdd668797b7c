"""Contacts: consent, upsert, archive, erasure (vendor page, 3)."""

from datetime import timedelta
from typing import Any

import pytest

from leadbridge.sandbox.mailchimp import Mailchimp
from leadbridge.sandbox.world import Effect, World
from tests.sandbox.mailchimp.conftest import LIST, Api, effects, hashed

ANN = "Ann@Acme.test"


def test_a_contact_is_found_by_hash_address_and_contact_id(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed")
    found = api.ok("GET", api.members(ANN))
    assert found["id"] == hashed("ann@acme.test")
    for key in (ANN, found["contact_id"]):
        assert api.ok("GET", f"/lists/{LIST}/members/{key}")["id"] == found["id"]


def test_a_hash_of_the_address_as_typed_finds_nobody(api: Api, mailchimp: Mailchimp) -> None:
    import hashlib

    mailchimp.add_member(ANN, "subscribed")
    assert api("GET", f"/lists/{LIST}/members/{hashlib.md5(ANN.encode()).hexdigest()}").status_code == 404


def test_put_creates_with_status_if_new_and_never_changes_it_later(api: Api, world: World) -> None:
    body = {"email_address": ANN, "status_if_new": "transactional", "merge_fields": {"FNAME": "Ann"}}
    assert api.ok("PUT", api.members(ANN), body)["status"] == "transactional"
    again = api.ok("PUT", api.members(ANN), {**body, "status_if_new": "subscribed"})
    assert again["status"] == "transactional"
    created = {"email_hash": hashed(ANN), "list": LIST, "status": "transactional"}
    named = {"email_hash": hashed(ANN), "tag": "FNAME", "old": "", "new": "Ann"}
    assert effects(world) == [Effect("member_created", created), Effect("merge_field_changed", named)]


def test_put_on_somebody_unknown_needs_a_status(api: Api, mailchimp: Mailchimp) -> None:
    assert api.refused("PUT", api.members(ANN), {"email_address": ANN})["title"] == "Invalid Resource"
    assert api.refused("PUT", api.members(ANN), {"status_if_new": "pending"})["status"] == 400
    assert mailchimp.dump()["audiences"][LIST]["members"] == {}


def test_put_with_a_status_alone_changes_an_existing_contact(api: Api, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "subscribed")
    answer = api.ok("PUT", api.members(ANN), {"status": "unsubscribed"})
    assert answer["unsubscribe_reason"] == "N/A (Unsubscribed by admin)"
    changed = {"email_hash": hashed(ANN), "old": "subscribed", "new": "unsubscribed"}
    assert effects(world) == [Effect("status_changed", changed)]


def test_post_refuses_an_existing_contact_without_a_type(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "transactional")
    problem = api.refused("POST", api.members(), {"email_address": ANN, "status": "subscribed"})
    assert problem["title"] == "Member Exists"
    assert "type" not in problem
    assert mailchimp.member(ANN).status == "transactional"


def test_post_takes_tags_as_strings_and_put_takes_none(api: Api, mailchimp: Mailchimp) -> None:
    made = api.ok("POST", api.members(), {"email_address": ANN, "status": "subscribed", "tags": ["warm"]})
    assert [tag["name"] for tag in made["tags"]] == ["warm"]
    assert api.ok("PUT", api.members(ANN), {"tags": ["hot"]})["tags"] == made["tags"]


@pytest.mark.parametrize("status", ["unsubscribed", "cleaned"])
def test_who_left_by_themselves_cannot_be_subscribed_only_asked(api: Api, mailchimp: Mailchimp, status: str) -> None:
    mailchimp.add_member(ANN, status, opted_out_by_person=True)
    for method in ("PUT", "PATCH"):
        problem = api.refused(method, api.members(ANN), {"status": "subscribed", "merge_fields": {"FNAME": "Ann"}})
        assert problem["title"] == "Member In Compliance State"
    assert mailchimp.member(ANN).merge_fields == {}  # a refused call changes nothing
    assert api.ok("PUT", api.members(ANN), {"status": "pending"})["status"] == "pending"
    assert api.refused("PUT", api.members(ANN), {"status": "subscribed"})["title"] == "Member In Compliance State"
    mailchimp.person_confirms(ANN)
    assert mailchimp.member(ANN).status == "subscribed"


def test_who_was_unsubscribed_by_api_can_come_back_by_api(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed")
    api.ok("PATCH", api.members(ANN), {"status": "unsubscribed"})
    assert api.ok("PATCH", api.members(ANN), {"status": "subscribed"})["status"] == "subscribed"


def test_a_person_unsubscribing_is_final(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed")
    mailchimp.person_unsubscribes(ANN)
    assert api.refused("PUT", api.members(ANN), {"status": "subscribed"})["title"] == "Member In Compliance State"


def test_pending_asks_once(api: Api, mailchimp: Mailchimp, world: World) -> None:
    for _ in range(2):
        api.ok("PUT", api.members(ANN), {"email_address": ANN, "status": "pending"})
    assert len(effects(world, "confirmation_sent")) == 1


def test_transactional_is_not_for_patch(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed")
    assert api.refused("PATCH", api.members(ANN), {"status": "transactional"})["status"] == 400
    assert api.refused("PUT", api.members(ANN), {"status": "archived"})["status"] == 400


def test_archiving_hides_and_reviving_keeps_what_was_there(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed", merge_fields={"FNAME": "Ann"}, tags=("warm",))
    assert api("DELETE", api.members(ANN)).status_code == 204
    again = api("DELETE", api.members(ANN))
    assert (again.status_code, again.headers["Allow"]) == (405, "GET, PUT")
    assert api.ok("GET", api.members(ANN))["status"] == "archived"
    revived = api.ok("POST", api.members(), {"email_address": ANN, "status": "subscribed"})
    assert (revived["status"], revived["merge_fields"]["FNAME"], revived["tags_count"]) == ("subscribed", "Ann", 1)


@pytest.mark.parametrize("status", ["pending", "cleaned", "archived"])
def test_some_cannot_be_archived(api: Api, mailchimp: Mailchimp, status: str) -> None:
    mailchimp.add_member(ANN, status)
    assert api.refused("DELETE", api.members(ANN))["status"] == 405


def test_an_erased_address_can_never_be_added_again(api: Api, client: Any, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed")
    client.lists.delete_list_member_permanent(LIST, hashed(ANN))  # sends the body `null`
    assert api("GET", api.members(ANN)).status_code == 404
    problem = api.refused("PUT", api.members(ANN), {"email_address": ANN, "status_if_new": "subscribed"})
    assert problem["title"] == "Forgotten Email Not Subscribed"
    mailchimp.add_member("bob@acme.test", "", forgotten=True)
    body = {"email_address": "bob@acme.test", "status": "subscribed"}
    assert api.refused("POST", api.members(), body)["title"] == "Forgotten Email Not Subscribed"


def test_a_new_address_moves_the_contact_to_a_new_hash(api: Api, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "subscribed", merge_fields={"FNAME": "Ann"}, tags=("warm",))
    mailchimp.add_member("bob@acme.test", "subscribed")
    assert api.refused("PATCH", api.members(ANN), {"email_address": "bob@acme.test"})["title"] == "Member Exists"
    moved = api.ok("PATCH", api.members(ANN), {"email_address": "ann@new.test"})
    assert (moved["id"], moved["merge_fields"]["FNAME"], moved["tags_count"]) == (hashed("ann@new.test"), "Ann", 1)
    assert api("GET", api.members(ANN)).status_code == 404
    assert [effect.kind for effect in effects(world)] == ["email_changed"]


@pytest.mark.parametrize(
    ("email", "word"),
    [("nobody", "valid email address"), ("a@b@c.test", "valid email"), ("ann@example.com", "looks fake or invalid")],
)
def test_addresses_that_are_not_taken(api: Api, email: str, word: str) -> None:
    problem = api.refused("POST", api.members(), {"email_address": email, "status": "subscribed"})
    assert word in problem["detail"]


def test_a_bad_ip_is_refused(api: Api) -> None:
    body = {"email_address": ANN, "status": "subscribed", "ip_signup": "here"}
    assert api.refused("POST", api.members(), body)["errors"][0]["field"] == "ip_signup"


def test_since_last_changed_is_strict_and_pages_can_be_sorted(api: Api, mailchimp: Mailchimp, world: World) -> None:
    for number in range(3):
        mailchimp.add_member(f"p{number}@acme.test", "subscribed")
        world.clock.advance(timedelta(seconds=10))
    first = api.ok("GET", api.members("p0@acme.test"))["last_changed"]
    query = {"since_last_changed": first, "sort_field": "last_changed", "sort_dir": "DESC"}
    rows = api.ok("GET", api.members(), params=query)["members"]
    assert [row["email_address"] for row in rows] == ["p2@acme.test", "p1@acme.test"]
    assert api.refused("GET", api.members() + "?since_last_changed=yesterday")["status"] == 400
    assert api.refused("GET", api.members() + "?sort_field=name")["status"] == 400


def test_unsubscribed_since_needs_the_status(api: Api, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member("old@acme.test", "unsubscribed")
    mailchimp.add_member(ANN, "subscribed")
    since = world.clock.now().isoformat()
    world.clock.advance(timedelta(minutes=1))
    mailchimp.person_unsubscribes(ANN)
    assert api.refused("GET", api.members(), params={"unsubscribed_since": since})["status"] == 400
    query = {"unsubscribed_since": since, "status": "unsubscribed"}
    assert [row["email_address"] for row in api.ok("GET", api.members(), params=query)["members"]] == [ANN]


def test_search_knows_addresses_and_names_only(client: Any, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed", merge_fields={"FNAME": "Ann", "LNAME": "Smith", "PHONE": "0815"})
    assert client.searchMembers.search("ann@acme.test")["exact_matches"]["total_items"] == 1
    assert client.searchMembers.search("smith", list_id=LIST)["full_search"]["total_items"] == 1
    assert client.searchMembers.search("0815")["full_search"]["total_items"] == 0


def test_marketing_permissions_are_part_of_the_contact(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_audience("cccccccccc", "With consent", permissions={"p1": "E-mail"})
    body = {
        "email_address": ANN,
        "status": "subscribed",
        "marketing_permissions": [{"marketing_permission_id": "p1", "enabled": True}],
    }
    made = api.ok("POST", "/lists/cccccccccc/members", body)
    assert made["marketing_permissions"] == [{"marketing_permission_id": "p1", "text": "E-mail", "enabled": True}]


# --- many at once ------------------------------------------------------------------------------------------------


def test_a_batch_answers_200_and_parts_the_good_from_the_bad(client: Any, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "subscribed")
    rows = [
        {"email_address": "new@acme.test", "status": "subscribed", "tags": ["a"]},
        {"email_address": ANN, "status": "subscribed"},
        {"email_address": "bad@acme.test", "status": "subscribed", "merge_fields": {"BIRTHDAY": "never"}},
    ]
    answer = client.lists.batch_list_members(LIST, {"members": rows})
    assert (answer["total_created"], answer["total_updated"], answer["error_count"]) == (1, 0, 2)
    assert [error["error_code"] for error in answer["errors"]] == ["ERROR_CONTACT_EXISTS", "ERROR_GENERIC"]
    assert answer["errors"][1]["field"] == "BIRTHDAY"
    assert world.journal.since()[0].items == 3


def test_a_batch_that_updates_also_changes_the_status_and_can_replace_tags(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "transactional", tags=("old",))
    rows = [{"email_address": ANN, "status": "subscribed", "tags": ["new"]}]
    path = f"/lists/{LIST}"
    added = api.ok("POST", path, {"members": rows, "update_existing": True})["updated_members"][0]
    assert (added["status"], {tag["name"] for tag in added["tags"]}) == ("subscribed", {"old", "new"})
    synced = api.ok("POST", path, {"members": rows, "update_existing": True, "sync_tags": True})["updated_members"][0]
    assert [tag["name"] for tag in synced["tags"]] == ["new"]


def test_a_batch_has_at_most_500(api: Api) -> None:
    rows = [{"email_address": f"p{number}@acme.test", "status": "subscribed"} for number in range(501)]
    assert api.refused("POST", f"/lists/{LIST}", {"members": rows})["status"] == 400
