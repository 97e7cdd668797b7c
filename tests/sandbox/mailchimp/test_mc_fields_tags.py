"""Merge fields, tags, segments and events (vendor page, 4 to 6)."""

from typing import Any

import pytest

from leadbridge.sandbox.mailchimp import Mailchimp
from leadbridge.sandbox.world import World
from tests.sandbox.mailchimp.conftest import LIST, Api, effects, hashed

ANN = "ann@acme.test"
FIELDS = f"/lists/{LIST}/merge-fields"
SCORE = {"name": "Lead score", "type": "number", "tag": "LEADSCORE", "public": False}


def test_a_field_is_made_and_found_again(client: Any) -> None:
    made = client.lists.add_list_merge_field(LIST, SCORE)
    assert (made["tag"], made["type"], made["public"], made["required"]) == ("LEADSCORE", "number", False, False)
    listed = client.lists.get_list_merge_fields(LIST, count=1000)
    assert [row["tag"] for row in listed["merge_fields"]] == [
        "FNAME", "LNAME", "ADDRESS", "PHONE", "BIRTHDAY", "LEADSCORE",
    ]  # fmt: skip
    client.lists.update_list_merge_field(LIST, made["merge_id"], {"name": "Score", "type": "text"})
    again = client.lists.get_list_merge_field(LIST, made["merge_id"])
    assert (again["name"], again["type"]) == ("Score", "number")  # the type cannot change


@pytest.mark.parametrize(
    "body",
    [
        {**SCORE, "tag": "ELEVENCHARS"},
        {**SCORE, "tag": "FNAME"},
        {**SCORE, "tag": "fname"},
        {**SCORE, "tag": "SCO RE"},
        {**SCORE, "type": "boolean"},
        {"name": "Choice", "type": "dropdown"},
        {"type": "text"},
    ],
)
def test_fields_that_cannot_be(api: Api, body: dict[str, Any]) -> None:
    assert api.refused("POST", FIELDS, body)["title"] == "Invalid Resource"


def test_thirty_fields_and_no_more(api: Api) -> None:
    tags = [api.ok("POST", FIELDS, {"name": f"Field {number}", "type": "text"})["tag"] for number in range(25)]
    assert tags[0] == "MERGE6"  # an omitted tag is made up
    assert "30" in api.refused("POST", FIELDS, SCORE)["detail"]
    assert len(api.ok("GET", FIELDS)["merge_fields"]) == 10  # the classic way to miss fields


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("number", "82", 82),
        ("number", 15.5, 15.5),
        ("text", "é" * 200, "é" * 127),
        ("text", 7, "7"),
        ("date", "01/31/2026", "2026-01-31"),
        ("date", "2026-01-31T10:00:00+00:00", "2026-01-31"),
        ("birthday", "02/29", "02/29"),
        ("zip", "12345", "12345"),
        ("url", "https://acme.test/p", "https://acme.test/p"),
    ],
)
def test_values_are_kept_as_the_field_says(api: Api, mailchimp: Mailchimp, kind: str, given: Any, kept: Any) -> None:
    mailchimp.add_member(ANN, "subscribed")
    mailchimp.add_merge_field("X", "X", kind)
    assert api.ok("PATCH", api.members(ANN), {"merge_fields": {"X": given}})["merge_fields"]["X"] == kept
    assert api.ok("PATCH", api.members(ANN), {"merge_fields": {"X": ""}})["merge_fields"]["X"] == ""


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("number", "hot"),
        ("number", "nan"),
        ("date", "tomorrow"),
        ("birthday", "13/01"),
        ("zip", "1"),
        ("url", "acme"),
        ("address", {"addr1": "1 Road"}),
    ],
)
def test_an_unfit_value_refuses_the_whole_call(api: Api, mailchimp: Mailchimp, kind: str, given: Any) -> None:
    mailchimp.add_member(ANN, "subscribed")
    mailchimp.add_merge_field("X", "X", kind)
    body = {"status": "unsubscribed", "merge_fields": {"FNAME": "Ann", "X": given}}
    problem = api.refused("PATCH", api.members(ANN), body)
    assert problem["detail"] == "Your merge fields were invalid."
    assert [error["field"] for error in problem["errors"]] == ["X"]
    member = mailchimp.member(ANN)
    assert (member.status, member.merge_fields) == ("subscribed", {})


@pytest.mark.parametrize("value", [None, True, ["a"], {"a": 1}])
def test_null_and_booleans_are_no_values(api: Api, mailchimp: Mailchimp, value: Any) -> None:
    mailchimp.add_member(ANN, "subscribed")
    problem = api.refused("PATCH", api.members(ANN), {"merge_fields": {"FNAME": value}})
    message = "Data did not match any of the schemas described in anyOf."
    assert problem["errors"] == [{"field": "merge_fields.FNAME", "message": message}]


def test_unknown_tags_are_ignored_and_absent_ones_keep_their_value(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed", merge_fields={"FNAME": "Ann"})
    fields = api.ok("PATCH", api.members(ANN), {"merge_fields": {"NOSUCH": "x", "LNAME": "Smith"}})["merge_fields"]
    assert (fields["FNAME"], fields["LNAME"], "NOSUCH" in fields) == ("Ann", "Smith", False)


def test_a_required_field_can_be_waived(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_merge_field("MUST", "Must", required=True)
    body = {"email_address": ANN, "status": "subscribed"}
    problem = api.refused("POST", api.members(), body)
    assert problem["errors"] == [{"field": "MUST", "message": "Please enter a value"}]
    assert api.ok("POST", api.members() + "?skip_merge_validation=True", body)["status"] == "subscribed"


def test_writing_the_same_value_again_is_no_change(api: Api, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "subscribed")
    mailchimp.add_merge_field("LEADSCORE", "Score", "number")
    for value in (82, "82", 82.0):
        api.ok("PATCH", api.members(ANN), {"merge_fields": {"LEADSCORE": value}})
    changed = effects(world, "merge_field_changed")
    assert [(effect.detail["old"], effect.detail["new"]) for effect in changed] == [("", 82)]


# --- tags --------------------------------------------------------------------------------------------------------


def tags_of(client: Any, email: str = ANN) -> list[str]:
    return [tag["name"] for tag in client.lists.get_list_member_tags(LIST, hashed(email), count=1000)["tags"]]


def test_only_named_tags_change(client: Any, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "subscribed", tags=("kept", "old"))
    body = {"tags": [{"name": "new", "status": "active"}, {"name": "OLD", "status": "inactive"}]}
    for _ in range(2):
        client.lists.update_list_member_tags(LIST, hashed(ANN), body)
    assert tags_of(client) == ["kept", "new"]
    assert [(effect.kind, effect.detail["tag"]) for effect in effects(world)] == [
        ("tag_added", "new"),
        ("tag_removed", "old"),
    ]


def test_tags_of_nobody(api: Api) -> None:
    assert api("POST", api.members(ANN) + "/tags", {"tags": []}).status_code == 404


def test_tags_are_found_by_prefix_without_regard_to_case(client: Any, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed", tags=("Leadbridge hot", "other"))
    found = client.lists.tag_search(LIST, name="leadbridge")
    assert [tag["name"] for tag in found["tags"]] == ["Leadbridge hot"]


def test_a_tag_is_a_segment_that_takes_many_at_once(client: Any, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "subscribed", tags=("hot",))
    mailchimp.add_member("bob@acme.test", "transactional")
    segment = client.lists.tag_search(LIST, name="hot")["tags"][0]["id"]
    body = {"members_to_add": ["bob@acme.test", "nobody@acme.test"], "members_to_remove": [ANN]}
    answer = client.lists.batch_segment_members(body, LIST, segment)
    assert (answer["total_added"], answer["total_removed"], answer["error_count"]) == (1, 1, 1)
    assert answer["errors"][0]["email_addresses"] == ["nobody@acme.test"]
    assert (tags_of(client), tags_of(client, "bob@acme.test")) == ([], ["hot"])
    call = next(call for call in world.journal if call.operation == "segments.update")
    assert call.items == 3


def test_a_segment_call_takes_500_each(api: Api, mailchimp: Mailchimp) -> None:
    made = api.ok("POST", f"/lists/{LIST}/segments", {"name": "hot", "static_segment": []})
    body = {"members_to_add": [f"p{number}@acme.test" for number in range(501)]}
    assert api.refused("POST", f"/lists/{LIST}/segments/{made['id']}", body)["status"] == 400


def test_a_contact_shows_fifty_tags_and_counts_all(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed", tags=[f"t{number}" for number in range(60)])
    shown = api.ok("GET", api.members(ANN))
    assert (len(shown["tags"]), shown["tags_count"]) == (50, 60)


# --- events ------------------------------------------------------------------------------------------------------


def test_events_are_kept_newest_first(client: Any, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed")
    for day in (3, 5, 4):
        body = {"name": f"day_{day}", "occurred_at": f"2026-11-0{day}T10:00:00+00:00", "properties": {"score": "82"}}
        client.lists.create_list_member_event(LIST, hashed(ANN), body)
    rows = client.lists.get_list_member_events(LIST, hashed(ANN))["events"]
    assert [row["name"] for row in rows] == ["day_5", "day_4", "day_3"]
    assert rows[0]["properties"] == {"score": "82"}


@pytest.mark.parametrize("body", [{"name": "x"}, {"name": "x" * 31}, {"name": "ok", "properties": {"score": 82}}])
def test_events_that_are_refused(api: Api, mailchimp: Mailchimp, body: dict[str, Any]) -> None:
    mailchimp.add_member(ANN, "subscribed")
    assert api.refused("POST", api.members(ANN) + "/events", body)["status"] == 400
    assert mailchimp.member(ANN).events == []
