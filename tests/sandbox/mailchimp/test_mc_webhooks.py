"""Webhooks: the probe, the form body, the signature, sources, retries (vendor page, 11)."""

import hashlib
import hmac
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest

from leadbridge.sandbox.mailchimp import Mailchimp
from leadbridge.sandbox.world import World
from tests.sandbox.mailchimp.conftest import LIST, NOW, Api, Receiver

ANN = "ann@acme.test"
HOOKS = f"/lists/{LIST}/webhooks"
EVENTS = dict.fromkeys(("subscribe", "unsubscribe", "profile", "cleaned", "upemail", "campaign"), True)


def hook(api: Api, receiver: Receiver, /, **sources: bool) -> dict[str, Any]:
    wanted = {"user": True, "admin": True, "api": True} | sources
    made: dict[str, Any] = api.ok("POST", HOOKS, {"url": receiver.url, "events": EVENTS, "sources": wanted})
    return made


def news(mailchimp: Mailchimp, receiver: Receiver) -> list[dict[str, str]]:
    assert mailchimp.settle()
    return [dict(parse_qsl(body.decode(), keep_blank_values=True)) for _, body in receiver.posts]


def test_the_address_is_probed_and_the_secret_shown_once(client: Any, receiver: Receiver) -> None:
    made = client.lists.create_list_webhook(LIST, {"url": receiver.url, "events": EVENTS})
    assert receiver.probes == ["/hooks/mailchimp/secret"]
    assert (made["signing_enabled"], len(made["signing_secret"])) == (True, 40)
    assert made["sources"] == {"user": False, "admin": False, "api": False}
    (listed,) = client.lists.get_list_webhooks(LIST)["webhooks"]
    assert "signing_secret" not in listed


def test_an_address_that_does_not_answer_200_is_refused(api: Api, receiver: Receiver, mailchimp: Mailchimp) -> None:
    receiver.answers = [405]
    problem = api.refused("POST", HOOKS, {"url": receiver.url, "events": EVENTS})
    assert problem["errors"][0]["field"] == "url"
    assert "We couldn't verify the URL is working" in problem["errors"][0]["message"]
    for url in ("http://127.0.0.1:1/nobody", "http://[half", "nonsense"):
        assert api.refused("POST", HOOKS, {"url": url})["status"] == 400
    assert mailchimp.dump()["audiences"][LIST]["webhooks"] == []


def test_a_query_does_not_make_another_address(api: Api, receiver: Receiver) -> None:
    hook(api, receiver)
    problem = api.refused("POST", HOOKS, {"url": receiver.url + "?again=1", "events": EVENTS})
    message = "Sorry, you can't set up multiple WebHooks for one URL on the same list."
    assert problem["errors"] == [{"field": "url", "message": message}]


def test_a_delivery_is_signed_over_its_exact_bytes(api: Api, receiver: Receiver, mailchimp: Mailchimp) -> None:
    secret = hook(api, receiver)["signing_secret"]
    api.ok("PUT", api.members(ANN), {"email_address": ANN, "status_if_new": "subscribed"})
    assert mailchimp.settle()
    headers, body = receiver.posts[0]
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    stamp, _, given = headers["X-Mailchimp-Signature"].partition(",v1=")
    at = stamp.removeprefix("t=")
    assert int(at) == int(NOW.timestamp())
    assert given == hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def test_without_signing_there_is_no_signature(api: Api, receiver: Receiver, mailchimp: Mailchimp) -> None:
    mailchimp.settings.sign_webhooks = False
    made = hook(api, receiver)
    assert (made["signing_enabled"], "signing_secret" in made) == (False, False)
    api.ok("PUT", api.members(ANN), {"email_address": ANN, "status_if_new": "subscribed"})
    assert mailchimp.settle()
    assert "X-Mailchimp-Signature" not in receiver.posts[0][0]


def test_what_each_kind_of_news_says(api: Api, receiver: Receiver, mailchimp: Mailchimp) -> None:
    mailchimp.add_member(ANN, "subscribed", merge_fields={"FNAME": "Ann"})
    mailchimp.add_member("bob@acme.test", "subscribed")
    campaign = mailchimp.add_campaign("News", NOW)
    hook(api, receiver)
    api.ok("PATCH", api.members(ANN), {"merge_fields": {"LNAME": "Smith", "ADDRESS": ""}})
    api.ok("PATCH", api.members(ANN), {"email_address": "ann@new.test"})
    mailchimp.person_unsubscribes("ann@new.test", campaign)
    mailchimp.mail_bounces("bob@acme.test", campaign)
    profile, moved, left, cleaned = news(mailchimp, receiver)
    contact = mailchimp.member("ann@new.test")
    assert (profile["type"], profile["fired_at"]) == ("profile", "2026-11-20 12:00:00")
    assert profile["data[merges][FNAME]"] == "Ann"
    assert profile["data[merges][LNAME]"] == "Smith"
    assert profile["data[id]"] == contact.contact_id[:10]  # not the subscriber hash
    assert {key: value for key, value in moved.items() if key != "fired_at"} == {
        "type": "upemail",
        "data[list_id]": LIST,
        "data[new_id]": contact.contact_id[:10],
        "data[new_email]": "ann@new.test",
        "data[old_email]": ANN,
    }
    assert (left["type"], left["data[action]"], left["data[reason]"]) == ("unsubscribe", "unsub", "manual")
    assert left["data[campaign_id]"] == campaign
    assert "data[ip_signup]" not in left
    assert (cleaned["type"], cleaned["data[reason]"], cleaned["data[email]"]) == ("cleaned", "hard", "bob@acme.test")


@pytest.mark.parametrize(("api_on", "kinds"), [(True, ["unsubscribe", "unsubscribe"]), (False, ["unsubscribe"])])
def test_sources_keep_our_own_writes_from_echoing(
    api: Api, receiver: Receiver, mailchimp: Mailchimp, api_on: bool, kinds: list[str]
) -> None:
    for email in (ANN, "bob@acme.test"):
        mailchimp.add_member(email, "subscribed")
    hook(api, receiver, api=api_on)
    api.ok("PATCH", api.members(ANN), {"status": "unsubscribed"})
    mailchimp.person_unsubscribes("bob@acme.test")
    assert [one["type"] for one in news(mailchimp, receiver)] == kinds


def test_nothing_is_sent_for_tags_journeys_or_seeding(api: Api, receiver: Receiver, mailchimp: Mailchimp) -> None:
    hook(api, receiver)
    mailchimp.add_member(ANN, "subscribed")
    mailchimp.add_journey(12, "tour", step_id=34)
    api.ok("POST", api.members(ANN) + "/tags", {"tags": [{"name": "x", "status": "active"}]})
    api.ok("POST", "/customer-journeys/journeys/12/steps/34/actions/trigger", {"email_address": ANN})
    assert news(mailchimp, receiver) == []


def test_a_failed_delivery_is_tried_again_later(
    api: Api, receiver: Receiver, mailchimp: Mailchimp, world: World
) -> None:
    hook(api, receiver)
    receiver.answers = [500, 503]
    api.ok("PUT", api.members(ANN), {"email_address": ANN, "status_if_new": "subscribed"})
    for pause in (30, 60):
        assert mailchimp.settle()
        assert mailchimp.core.courier.waiting() == 1
        world.clock.advance(timedelta(seconds=pause + 1))
    assert mailchimp.settle()
    assert mailchimp.core.courier.waiting() == 0
    assert [call.status for call in world.journal if call.operation == "webhook.delivery"] == [500, 503, 200]
    assert receiver.posts[0][1] == receiver.posts[2][1]
    assert receiver.posts[0][0]["X-Mailchimp-Signature"] != receiver.posts[2][0]["X-Mailchimp-Signature"]


def test_410_ends_it_at_once(api: Api, receiver: Receiver, mailchimp: Mailchimp) -> None:
    hook(api, receiver)
    receiver.answers = [410]
    api.ok("PUT", api.members(ANN), {"email_address": ANN, "status_if_new": "subscribed"})
    assert mailchimp.settle()
    api.ok("PATCH", api.members(ANN), {"status": "unsubscribed"})
    assert mailchimp.settle()
    assert (len(receiver.posts), mailchimp.core.courier.waiting()) == (1, 0)


def test_a_webhook_can_be_changed_and_taken_away(client: Any, api: Api, receiver: Receiver) -> None:
    made = hook(api, receiver)
    changed = client.lists.update_list_webhook(LIST, made["id"], {"events": {"profile": False}})
    assert (changed["events"]["profile"], changed["events"]["cleaned"]) == (False, True)
    client.lists.delete_list_webhook(LIST, made["id"])
    assert client.lists.get_list_webhooks(LIST)["total_items"] == 0
