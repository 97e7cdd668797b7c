"""What became of mail: campaigns, reports, feeds (vendor page, 10)."""

from datetime import timedelta
from typing import Any

import pytest

from leadbridge.sandbox.mailchimp import Mailchimp
from tests.sandbox.mailchimp.conftest import LIST, NOW, Api, hashed

ANN, BOB = "ann@acme.test", "bob@acme.test"
SENT = NOW - timedelta(days=10)
PAGE = "https://acme.test/pricing"


@pytest.fixture
def campaign(mailchimp: Mailchimp) -> str:
    """Sent to two; Ann opened twice and clicked, Bob's mail bounced."""
    for email in (ANN, BOB):
        mailchimp.add_member(email, "subscribed", timestamp=SENT - timedelta(days=1))
    made = mailchimp.add_campaign("Spring news", SENT)
    for email in (ANN, BOB):
        mailchimp.add_campaign_activity(made, email, "sent", SENT)
    mailchimp.add_campaign_activity(made, ANN, "open", SENT + timedelta(hours=1))
    mailchimp.add_campaign_activity(made, ANN, "click", SENT + timedelta(hours=1, minutes=1), PAGE)
    mailchimp.add_campaign_activity(made, ANN, "open", SENT + timedelta(days=2))
    mailchimp.add_campaign_activity(made, BOB, "bounce", SENT, bounce_type="soft")
    mailchimp.add_campaign_activity(made, BOB, "bounce", SENT + timedelta(hours=1), bounce_type="hard")
    return made


def test_campaigns_are_listed_by_send_time(client: Any, mailchimp: Mailchimp, campaign: str) -> None:
    later = mailchimp.add_campaign("Summer news", SENT + timedelta(days=5))
    options = {"status": "sent", "sort_field": "send_time", "count": 1000}
    both = client.campaigns.list(sort_dir="ASC", **options)["campaigns"]
    assert [row["id"] for row in both] == [campaign, later]
    recent = client.campaigns.list(since_send_time=(SENT + timedelta(days=1)).isoformat(), **options)["campaigns"]
    assert [row["id"] for row in recent] == [later]
    assert both[0]["emails_sent"] == 2
    assert both[0]["report_summary"]["open_rate"] == 0.5


def test_activity_lists_recipients_with_what_they_did(client: Any, campaign: str) -> None:
    answer = client.reports.get_email_activity_for_campaign(campaign, count=500)
    assert answer["total_items"] == 2
    ann, bob = answer["emails"]
    assert ann["email_id"] == hashed(ANN)
    assert [one["action"] for one in ann["activity"]] == ["open", "click", "open"]
    assert ann["activity"][1]["url"] == PAGE
    assert [(one["action"], one["type"]) for one in bob["activity"]] == [("bounce", "soft")]  # the first one only


def test_since_cuts_activity_and_perhaps_people(client: Any, mailchimp: Mailchimp, campaign: str) -> None:
    since = (SENT + timedelta(days=1)).isoformat()
    found = client.reports.get_email_activity_for_campaign(campaign, since=since)
    assert [(one["email_id"], len(one["activity"])) for one in found["emails"]] == [(hashed(ANN), 1)]
    assert found["total_items"] == 1
    mailchimp.settings.since_keeps_idle = True
    kept = client.reports.get_email_activity_for_campaign(campaign, since=since)
    assert [len(one["activity"]) for one in kept["emails"]] == [1, 0]


def test_activity_of_one_recipient(client: Any, api: Api, campaign: str) -> None:
    found = client.reports.get_email_activity_for_subscriber(campaign, hashed(ANN))
    assert len(found["activity"]) == 3
    assert api("GET", f"/reports/{campaign}/email-activity/{'0' * 32}").status_code == 404


def test_details_of_opens_and_clicks(client: Any, campaign: str) -> None:
    opens = client.reports.get_campaign_open_details(campaign)
    assert (opens["total_items"], opens["total_opens"], opens["members"][0]["opens_count"]) == (1, 2, 2)
    links = client.reports.get_campaign_click_details(campaign)["urls_clicked"]
    assert [(link["url"], link["total_clicks"]) for link in links] == [(PAGE, 1)]
    clickers = client.reports.get_subscribers_info(campaign, links[0]["id"])["members"]
    assert [(row["email_address"], row["clicks"]) for row in clickers] == [(ANN, 1)]


def test_sent_to_and_unsubscribed(client: Any, mailchimp: Mailchimp, campaign: str) -> None:
    mailchimp.person_unsubscribes(ANN, campaign)
    rows = client.reports.get_campaign_recipients(campaign)["sent_to"]
    assert [(row["email_address"], row["status"], row["open_count"]) for row in rows] == [
        (ANN, "sent", 2),
        (BOB, "soft", 0),
    ]
    gone = client.reports.get_unsubscribed_list_for_campaign(campaign)["unsubscribes"]
    assert [(row["email_address"], row["timestamp"]) for row in gone] == [(ANN, NOW.isoformat())]
    report = client.reports.get_campaign_report(campaign)
    assert (report["unsubscribed"], report["opens"]["unique_opens"], report["clicks"]["clicks_total"]) == (1, 1, 1)


def test_the_feed_is_newest_first_and_differs_from_the_old_one(client: Any, campaign: str) -> None:
    feed = client.lists.get_list_member_activity_feed(LIST, hashed(ANN))
    kinds = [row["activity_type"] for row in feed["activity"]]
    assert kinds == ["open", "click", "open", "sent", "generic_signup"]
    assert "total_items" not in feed
    assert feed["activity"][1]["link_clicked"] == PAGE
    clicks = client.lists.get_list_member_activity_feed(LIST, hashed(ANN), activity_filters=["click", "sent"])
    assert [row["activity_type"] for row in clicks["activity"]] == ["click", "sent"]
    old = client.lists.get_list_member_activity(LIST, hashed(ANN), action=["click"])
    assert [(row["action"], row["url"]) for row in old["activity"]] == [("click", PAGE)]


def test_history_travels_with_a_changed_address(api: Api, campaign: str) -> None:
    api.ok("PATCH", api.members(ANN), {"email_address": "ann@new.test"})
    emails = api.ok("GET", f"/reports/{campaign}/email-activity")["emails"]
    assert emails[0]["email_id"] == hashed("ann@new.test")


def test_opening_does_not_change_last_changed(api: Api, mailchimp: Mailchimp, campaign: str) -> None:
    before = api.ok("GET", api.members(ANN))
    mailchimp.add_campaign_activity(campaign, ANN, "open", NOW)
    after = api.ok("GET", api.members(ANN))
    assert after["last_changed"] == before["last_changed"]
    assert after["stats"] == {"avg_open_rate": 1.0, "avg_click_rate": 1.0}
