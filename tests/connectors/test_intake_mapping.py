"""Words of trackers to ours (docs/intake.md)."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.intake.mapping import (
    EVENT_KINDS,
    NETWORKS,
    PROPERTIES,
    SOCIAL,
    Said,
    Wanted,
    kind_of,
    plain_name,
    said,
    wanted,
)
from leadbridge.types import ActivityKind, SuppressionReason
from tests.helpers.config_files import changed, loaded

DOCS = Path(__file__).parents[2] / "docs" / "intake.md"
AT = "2026-11-22T12:00:00+00:00"


def hear(event: dict[str, Any], **wants: Any) -> Said:
    return said({"timestamp": AT} | event, "key", Wanted(**wants))


def track(name: str, properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "u1", "event": name, "properties": properties or {}} | more


@pytest.mark.parametrize("name", ["Order Completed", "order_completed", "orderCompleted", " ORDER-COMPLETED "])
def test_one_event_has_one_name_however_it_is_spelt(name: str) -> None:
    assert plain_name(name) == "order completed"


@given(st.text(max_size=60))
def test_a_plain_name_is_plain(name: str) -> None:
    assert plain_name(plain_name(name)) == plain_name(name)


@pytest.mark.parametrize(
    ("name", "kind", "network"),
    [
        ("LinkedIn Post Liked", ActivityKind.SOCIAL_LIKED, "linkedin"),
        ("facebook_page_followed", ActivityKind.SOCIAL_FOLLOWED, "facebook"),
        ("Instagram Commented", ActivityKind.SOCIAL_COMMENTED, "instagram"),
        ("Social Shared", ActivityKind.SOCIAL_SHARED, None),
        ("X Post Reposted", ActivityKind.SOCIAL_SHARED, "x"),
        ("Youtube Link Clicked", ActivityKind.SOCIAL_CLICKED, "youtube"),
        ("Box Clicked", ActivityKind.OTHER, None),
        ("NPS Survey Answered", ActivityKind.SURVEY_ANSWERED, None),
        ("Checkout Started", ActivityKind.OTHER, None),
        ("Email Link Clicked", ActivityKind.EMAIL_CLICKED, None),
    ],
)
def test_names_of_events_are_kinds(name: str, kind: ActivityKind, network: str | None) -> None:
    assert kind_of(plain_name(name), Wanted()) == (kind, network)


def test_an_event_becomes_an_activity_with_the_properties_that_are_allowed() -> None:
    given = {
        "revenue": 39.9,
        "currency": "EUR",
        "card_number": "4111",
        "items": [1],
        "time_on_site": 95,
        "url": "x" * 2000,
    }
    activity = hear(track("Order Completed", given)).activity
    assert activity is not None
    assert (activity.kind, activity.subject, activity.source, activity.source_id) == (
        ActivityKind.PURCHASE, "intake:user:u1", "intake.track", "key",
    )  # fmt: skip
    assert activity.attributes == {
        "event": "order completed", "revenue": 39.9, "currency": "EUR", "seconds": 95, "url": "x" * 1000,
    }  # fmt: skip


def test_a_page_is_a_page_view_with_its_address_and_campaign() -> None:
    event = {"type": "page", "anonymousId": "a1", "name": "Pricing", "page": {"url": "https://acme.example/pricing"},
             "campaign": {"name": "spring", "medium": "cpc"}}  # fmt: skip
    activity = hear(event).activity
    assert activity is not None
    assert (activity.kind, activity.subject) == (ActivityKind.PAGE_VIEW, "intake:anonymous:a1")
    assert activity.attributes == {
        "event": "page", "name": "Pricing", "url": "https://acme.example/pricing", "campaign": "spring",
        "medium": "cpc",
    }  # fmt: skip


def test_the_score_of_a_survey_is_found_under_its_usual_names() -> None:
    for property_ in ("score", "nps", "rating"):
        activity = hear(track("Survey Answered", {property_: 9})).activity
        assert activity is not None
        assert activity.attributes["score"] == 9


def test_who_leaves_by_another_tools_word_leaves() -> None:
    assert hear(track("Unsubscribed", {"email": "ann@acme.example"})).leaves is SuppressionReason.UNSUBSCRIBED
    assert hear(track("Email Marked as Spam")).leaves is SuppressionReason.COMPLAINED
    assert hear(track("Email Opened")).leaves is None


def test_without_consent_nothing_is_counted_and_with_it_it_is_recorded() -> None:
    refused = {"consent": {"categoryPreferences": {"Advertising": False, "Analytics": True}}}
    given = {"consent": {"categoryPreferences": {"Advertising": True, "Analytics": True}}}
    needs = {"consent": ("Advertising",)}
    assert hear(track("Signed Up", **refused), **needs).activity is None
    identify = {"type": "identify", "userId": "u1", "traits": {"job": "CTO"}, **refused}
    assert hear(identify, **needs, traits={"job_title": ("job", "text", [])}).traits == {}
    for consent, wants in ((given, needs), (refused, {})):
        activity = hear(track("Signed Up", **consent), **wants).activity
        assert activity is not None
        assert "Analytics" in str(activity.attributes["consent"])


def test_the_file_names_kinds_properties_traits_and_what_is_ignored() -> None:
    text = changed(
        ("budget: {hubspot: budget_amount, type: number}", "budget: {intake: budget, type: number}"),
        ("employees: {hubspot: company.numberofemployees", "employees: {hubspot: x, intake: company.size"),
    )
    text += """
intake:
  write_key: "${INTAKE_KEY}"
  events: {Pricing Calculator Used: product_used, Order Completed: other}
  ignore: [Heartbeat]
  keep: [seats]
"""
    environ = {"HUBSPOT_TOKEN": "t", "MAILCHIMP_KEY": "0-us6", "INTAKE_KEY": "0123456789abcdef"}
    found = wanted(loaded(text, environ))
    assert found is not None
    assert kind_of("pricing calculator used", found) == (ActivityKind.PRODUCT_USED, None)
    assert kind_of("order completed", found) == (ActivityKind.OTHER, None)

    def heard(event: dict[str, Any]) -> Said:
        return said({"timestamp": AT} | event, "key", found)

    assert heard(track("heartbeat")).activity is None
    activity = heard(track("Pricing Calculator Used", {"seats": 4})).activity
    assert activity is not None
    assert activity.attributes["seats"] == 4
    one = heard({"type": "identify", "userId": "u1", "traits": {"budget": "12000", "company.size": 5}})
    assert (one.traits, one.unreadable) == ({"budget": 12000.0}, 0)
    assert heard({"type": "group", "userId": "u1", "traits": {"size": 120}}).traits == {"employees": 120}
    assert heard({"type": "identify", "userId": "u1", "traits": {"budget": "lots"}}).unreadable == 1


def test_every_word_of_the_table_is_plain_and_in_the_documentation() -> None:
    text = DOCS.read_text()
    for name, kind in EVENT_KINDS.items():
        assert plain_name(name) == name
        assert any(name in row and f"`{kind.value}`" in row for row in text.splitlines()), name
    for word in (*NETWORKS, *SOCIAL, *PROPERTIES):
        assert word in text, word


def test_the_examples_of_the_documentation_load() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    fields, rules, salesforce = blocks
    inside = fields.partition("fields:\n")
    text = (
        changed(
            ("  job_title: {hubspot: jobtitle}\n", ""),
            ("  employees: {hubspot: company.numberofemployees, type: integer}\n", inside[2]),
            (
                "      - {name: decision maker",
                indented(rules.replace("satisfaction", "engagement")) + "      - {name: decision maker",
            ),
            (
                "connections:\n",
                salesforce.replace(
                    "{webhook", '{domain: acme.my, client_id: "${INTAKE_KEY}", client_secret: "${INTAKE_KEY}", webhook'
                ),
            ),
        )
        + inside[0]
    )
    environ = {"HUBSPOT_TOKEN": "t", "MAILCHIMP_KEY": "0-us6"} | dict.fromkeys(
        ("INTAKE_KEY", "SF_WEBHOOK_SECRET", "SF_OUTBOUND_SECRET"), "0123456789abcdef01234567"
    )
    assert loaded(text, environ).intake.consent == ["Advertising"]


def indented(text: str) -> str:
    return "".join(f"      {line}\n" for line in text.splitlines())
