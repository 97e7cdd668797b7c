"""Journeys let in the subscribed only, and send mail (vendor page, 9)."""

from typing import Any

import pytest

from leadbridge.sandbox.mailchimp import Mailchimp
from leadbridge.sandbox.world import World
from tests.sandbox.mailchimp.conftest import LIST, Api, effects, hashed

ANN = "ann@acme.test"
TRIGGER = "/customer-journeys/journeys/12/steps/34/actions/trigger"
NOT_SUBSCRIBED = ("unsubscribed", "transactional", "pending", "cleaned", "archived")


@pytest.fixture
def journeys(mailchimp: Mailchimp) -> None:
    """One journey of each kind of start."""
    mailchimp.add_merge_field("GRADE", "Grade")
    mailchimp.add_journey(12, "product tour", step_id=34)
    mailchimp.add_journey(21, "offer", tag="LB-Offer")
    mailchimp.add_journey(22, "any grade", merge_field="GRADE")
    mailchimp.add_journey(23, "grade A", merge_field="GRADE=A")
    mailchimp.add_journey(24, "qualified", event="lead_qualified")


def entered(world: World) -> list[tuple[int, str]]:
    return [(one.detail["journey"], one.detail["status"]) for one in effects(world, "journey_entered")]


@pytest.mark.usefixtures("journeys")
def test_the_trigger_lets_a_subscriber_in_and_sends_mail(client: Any, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "subscribed")
    answer = client.customerJourneys.trigger(12, 34, {"email_address": ANN.upper(), "properties": {"ignored": 1}})
    assert answer.status_code == 204
    assert [one.kind for one in effects(world)] == ["journey_entered", "mail_sent"]
    detail = effects(world, "journey_entered")[0].detail
    assert (detail["email_hash"], detail["name"], detail["status"]) == (hashed(ANN), "product tour", "subscribed")
    assert mailchimp.dump()["mail"]["product tour"] == {ANN: {"sent": 1}}


@pytest.mark.usefixtures("journeys")
@pytest.mark.parametrize(
    "path", [TRIGGER.replace("12", "99"), TRIGGER.replace("34", "35"), TRIGGER.replace("12", "21")]
)
def test_a_wrong_journey_or_step_is_404(api: Api, mailchimp: Mailchimp, path: str) -> None:
    mailchimp.add_member(ANN, "subscribed")
    assert api.refused("POST", path, {"email_address": ANN})["status"] == 404


@pytest.mark.usefixtures("journeys")
def test_nobody_outside_the_audience_gets_in(api: Api, world: World) -> None:
    assert api.refused("POST", TRIGGER, {"email_address": ANN})["title"] == "Resource Not Found"
    assert [one.detail["why"] for one in effects(world, "journey_refused")] == ["not in the audience"]


@pytest.mark.usefixtures("journeys")
@pytest.mark.parametrize("status", NOT_SUBSCRIBED)
@pytest.mark.parametrize(("refuse", "answer"), [("ignore", 204), ("reject", 400)])
def test_nobody_but_subscribers_gets_in_whatever_the_answer(
    api: Api, mailchimp: Mailchimp, world: World, status: str, refuse: Any, answer: int
) -> None:
    mailchimp.settings.journeys_refuse = refuse
    mailchimp.add_member(ANN, status)
    assert api("POST", TRIGGER, {"email_address": ANN}).status_code == answer
    assert [one.kind for one in effects(world)] == ["journey_refused"]
    assert effects(world)[0].detail["why"] == f"not subscribed ({status})"


@pytest.mark.parametrize(("refuse", "answer"), [("ignore", 204), ("reject", 400)])
def test_once_only_unless_the_journey_says_otherwise(api: Api, mailchimp: Mailchimp, refuse: Any, answer: int) -> None:
    mailchimp.settings.journeys_refuse = refuse
    mailchimp.add_member(ANN, "subscribed")
    mailchimp.add_journey(12, "once", step_id=34)
    mailchimp.add_journey(13, "again", step_id=34, reentry=True)
    statuses = [
        api("POST", TRIGGER.replace("12", str(journey)), {"email_address": ANN}).status_code
        for journey in (12, 12, 13, 13)
    ]
    assert statuses == [204, answer, 204, 204]
    assert mailchimp.dump()["journeys"] == {"12": {ANN: 1}, "13": {ANN: 2}}


@pytest.mark.usefixtures("journeys")
def test_a_paused_journey_takes_nobody(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed")
    mailchimp.pause_journey(12)
    api.ok("POST", TRIGGER, {"email_address": ANN})
    assert mailchimp.dump()["journeys"]["12"] == {}
    mailchimp.pause_journey(12, paused=False)
    api.ok("POST", TRIGGER, {"email_address": ANN})
    assert mailchimp.dump()["journeys"]["12"] == {ANN: 1}


# --- starting points that need no ids ----------------------------------------------------------------------------


def set_tag(api: Api, status: str = "active", **more: Any) -> None:
    api.ok("POST", api.members(ANN) + "/tags", {"tags": [{"name": "lb-offer", "status": status}], **more})


@pytest.mark.usefixtures("journeys")
def test_adding_a_tag_starts_its_journey_once(api: Api, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "subscribed")
    set_tag(api)
    set_tag(api)  # was there already: nothing is added
    set_tag(api, "inactive")
    set_tag(api)  # added anew: refused, because the journey allows no re-entry
    assert entered(world) == [(21, "subscribed")]
    assert len(effects(world, "journey_refused")) == 1


@pytest.mark.usefixtures("journeys")
def test_syncing_tags_and_events_start_nothing(api: Api, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "subscribed")
    set_tag(api, is_syncing=True)
    api.ok("POST", api.members(ANN) + "/events", {"name": "lead_qualified", "is_syncing": True})
    assert entered(world) == []


@pytest.mark.usefixtures("journeys")
def test_a_tag_does_not_carry_the_unsubscribed_in(api: Api, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "unsubscribed")
    set_tag(api)
    assert [one.kind for one in effects(world)] == ["tag_added", "journey_refused"]


@pytest.mark.usefixtures("journeys")
def test_a_changed_field_starts_its_journeys(api: Api, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "subscribed")
    for grade in ("B", "B", "A"):
        api.ok("PATCH", api.members(ANN), {"merge_fields": {"GRADE": grade}})
    assert entered(world) == [(22, "subscribed"), (23, "subscribed")]


@pytest.mark.usefixtures("journeys")
def test_an_event_starts_its_journey(api: Api, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_member(ANN, "subscribed")
    for name in ("other", "lead_qualified"):
        api.ok("POST", api.members(ANN) + "/events", {"name": name})
    assert entered(world) == [(24, "subscribed")]


@pytest.mark.usefixtures("journeys")
@pytest.mark.parametrize(("starts", "count"), [(False, 0), (True, 3)])
def test_tags_set_by_other_ways_start_journeys_only_if_so_set(
    api: Api, mailchimp: Mailchimp, world: World, starts: bool, count: int
) -> None:
    mailchimp.settings.other_tag_paths_start_journeys = starts
    mailchimp.add_member("seed@acme.test", "subscribed", tags=("lb-offer",))
    mailchimp.add_member(ANN, "subscribed")
    api.ok("POST", api.members(), {"email_address": "b@acme.test", "status": "subscribed", "tags": ["lb-offer"]})
    rows = [{"email_address": "c@acme.test", "status": "subscribed", "tags": ["lb-offer"]}]
    api.ok("POST", f"/lists/{LIST}", {"members": rows})
    segment = api.ok("GET", f"/lists/{LIST}/tag-search?name=lb-offer")["tags"][0]["id"]
    api.ok("POST", f"/lists/{LIST}/segments/{segment}", {"members_to_add": [ANN]})
    assert len(entered(world)) == count


# --- what can be seen of a journey -------------------------------------------------------------------------------


@pytest.mark.usefixtures("journeys")
def test_journeys_cannot_be_read_unless_so_set(client: Any, api: Api, mailchimp: Mailchimp) -> None:
    path = "/customer-journeys/journeys"
    assert api(("GET"), path).status_code == 404
    mailchimp.settings.journeys_readable = True
    listed = client.api_client.call_api(path, "GET", query_params=[("count", "100")])["journeys"]
    assert [(row["id"], row["journey_name"], row["status"]) for row in listed][:1] == [(12, "product tour", "sending")]
    steps = api.ok("GET", f"{path}/21/steps")["steps"]
    assert steps[0]["step_type"] == "trigger-tag_added"
    assert steps[0]["trigger_details"]["tag"]["tag_name"] == "LB-Offer"
    assert "action_settings" not in steps[1]  # the list abbreviates
    whole = api.ok("GET", f"{path}/21/steps/{steps[1]['id']}")
    campaign = whole["action_settings"]["campaign_id"]
    assert api.ok("GET", f"/campaigns/{campaign}")["type"] == "automation-email"


@pytest.mark.usefixtures("journeys")
def test_mail_of_journeys_is_in_no_listing_but_in_the_feed(client: Any, api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed")
    set_tag(api)
    assert client.automations.list()["total_items"] == 0
    assert client.campaigns.list()["total_items"] == 0
    assert client.reports.get_all_campaign_reports()["total_items"] == 0
    feed = client.lists.get_list_member_activity_feed(LIST, hashed(ANN), activity_filters=["sent"])["activity"]
    assert [(row["activity_type"], row["campaign_title"]) for row in feed] == [("sent", "offer")]
    assert client.reports.get_campaign_recipients(feed[0]["campaign_id"])["total_items"] == 1
    mailchimp.settings.journey_email_activity = False
    assert api("GET", f"/reports/{feed[0]['campaign_id']}/email-activity").status_code == 404


def test_a_classic_automation_queues_once_and_removes_for_good(client: Any, api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_automation("wf1", "Old welcome", "mail1")
    mailchimp.add_member(ANN, "subscribed")
    body = {"email_address": ANN}
    queued = client.automations.add_workflow_email_subscriber("wf1", "mail1", body)
    assert (queued["id"], queued["workflow_id"]) == (hashed(ANN), "wf1")
    client.automations.remove_workflow_email_subscriber("wf1", body)
    assert api.refused("POST", "/automations/wf1/emails/mail1/queue", body)["status"] == 400
