"""A vendor's words in, ours out; nothing missing or odd breaks it (hubspot.md 10.2, mailchimp.md 11)."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.events import read_event
from leadbridge.types import EventKind, RecordRef, SuppressionReason, WebhookEvent


def hubspot(**fields: Any) -> WebhookEvent:
    return read_event("hubspot", json.dumps(fields).encode())


def mailchimp(**fields: Any) -> WebhookEvent:
    spelled = {"type": "type", "fired_at": "fired_at"}
    return read_event("mailchimp", json.dumps({spelled.get(k, f"data[{k}]"): v for k, v in fields.items()}).encode())


def contact(*ids: str) -> tuple[RecordRef, ...]:
    return tuple(RecordRef("hubspot", "contact", one) for one in ids)


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("contact.creation", EventKind.CREATED),
        ("contact.propertyChange", EventKind.CHANGED),
        ("contact.deletion", EventKind.DELETED),
        ("contact.privacyDeletion", EventKind.ERASED),
        ("contact.restore", EventKind.RESTORED),
        ("contact.somethingNew", EventKind.OTHER),
    ],
)
def test_each_type_has_its_kind_and_names_the_record_to_read_again(type_: str, kind: EventKind) -> None:
    event = hubspot(subscriptionType=type_, objectId=512, occurredAt=1795312799512, propertyName="jobtitle",
                    changeSource="CRM_UI")  # fmt: skip
    assert event == WebhookEvent(
        "hubspot", kind, refs=contact("512"), occurred_at=datetime(2026, 11, 22, 1, 59, 59, 512000, tzinfo=UTC),
        property="jobtitle", source="CRM_UI",
    )  # fmt: skip


def test_the_old_name_of_the_type_is_read_too() -> None:
    assert hubspot(eventType="contact.creation", objectId=1).kind is EventKind.CREATED


@pytest.mark.parametrize(
    ("type_id", "name"), [("0-1", "contact"), ("0-2", "company"), ("0-3", "deal"), ("2-77", "2-77")]
)
def test_the_generic_form_names_its_object_by_type_id(type_id: str, name: str) -> None:
    event = hubspot(subscriptionType="object.propertyChange", objectTypeId=type_id, objectId=7)
    assert event.refs == (RecordRef("hubspot", name, "7"),)


@pytest.mark.parametrize(
    ("fields", "new_id", "merged"),
    [
        ({"primaryObjectId": 101, "mergedObjectIds": [102], "newObjectId": 903}, "903", ("102", "101")),
        (
            {"primaryObjectId": 101, "mergedObjectIds": [102], "newObjectId": 903, "objectId": 101},
            "903",
            ("102", "101"),
        ),
        ({"primaryObjectId": 101, "mergedObjectIds": [102, 103]}, "101", ("102", "103")),
        ({"objectId": 101, "mergedObjectIds": [102]}, "101", ("102",)),
        ({"mergedObjectIds": [102, "x", None]}, None, ("102",)),
        ({}, None, ()),
    ],
)
def test_a_merge_names_the_survivor_and_every_id_that_is_now_its_alias(
    fields: dict[str, Any], new_id: str | None, merged: tuple[str, ...]
) -> None:
    event = hubspot(subscriptionType="contact.merge", **fields)
    assert (event.kind, event.new_id, event.merged) == (EventKind.MERGED, new_id, merged)
    assert event.refs == (contact(new_id) if new_id else ())


@pytest.mark.parametrize(
    ("fields", "refs"),
    [
        (
            {"subscriptionType": "contact.associationChange", "associationType": "CONTACT_TO_COMPANY",
             "fromObjectId": 512, "toObjectId": 9},
            (("contact", "512"), ("company", "9")),
        ),
        (
            {"subscriptionType": "object.associationChange", "fromObjectTypeId": "0-3", "toObjectTypeId": "0-1",
             "fromObjectId": 5, "toObjectId": 6},
            (("deal", "5"), ("contact", "6")),
        ),
        ({"subscriptionType": "contact.associationChange", "fromObjectId": 512}, (("contact", "512"),)),
    ],
)  # fmt: skip
def test_an_association_names_both_ends(fields: dict[str, Any], refs: tuple[tuple[str, str], ...]) -> None:
    event = hubspot(**fields)
    assert event.kind is EventKind.ASSOCIATED
    assert event.refs == tuple(RecordRef("hubspot", kind, id_) for kind, id_ in refs)


@pytest.mark.parametrize(
    ("fields", "kind", "emails", "reason"),
    [
        ({"type": "subscribe", "email": "Lead@Acme.example"}, EventKind.SUBSCRIBED, ("lead@acme.example",), None),
        ({"type": "profile", "email": "lead@acme.example"}, EventKind.CHANGED, ("lead@acme.example",), None),
        (
            {"type": "unsubscribe", "email": "lead@acme.example", "action": "unsub", "reason": "manual"},
            EventKind.UNSUBSCRIBED, ("lead@acme.example",), SuppressionReason.UNSUBSCRIBED,
        ),
        (
            {"type": "unsubscribe", "email": "lead@acme.example", "action": "delete"},
            EventKind.UNSUBSCRIBED, ("lead@acme.example",), SuppressionReason.UNSUBSCRIBED,
        ),
        (
            {"type": "unsubscribe", "email": "lead@acme.example", "reason": "abuse"},
            EventKind.UNSUBSCRIBED, ("lead@acme.example",), SuppressionReason.COMPLAINED,
        ),
        (
            {"type": "cleaned", "email": "lead@acme.example", "reason": "hard"},
            EventKind.CLEANED, ("lead@acme.example",), SuppressionReason.BOUNCED,
        ),
        (
            {"type": "cleaned", "email": "lead@acme.example", "reason": "abuse"},
            EventKind.CLEANED, ("lead@acme.example",), SuppressionReason.COMPLAINED,
        ),
        (
            {"type": "upemail", "old_email": "old@acme.example", "new_email": "new@acme.example"},
            EventKind.EMAIL_CHANGED, ("old@acme.example", "new@acme.example"), None,
        ),
        ({"type": "campaign", "subject": "Hello", "status": "sent"}, EventKind.OTHER, (), None),
        ({"type": "a new word", "email": "lead@acme.example"}, EventKind.OTHER, ("lead@acme.example",), None),
    ],
)  # fmt: skip
def test_each_mailchimp_type_has_its_kind_addresses_and_reason(
    fields: dict[str, str], kind: EventKind, emails: tuple[str, ...], reason: SuppressionReason | None
) -> None:
    event = mailchimp(fired_at="2026-01-06 21:40:57", **fields)
    assert (event.kind, event.emails, event.reason) == (kind, emails, reason)
    assert event.occurred_at == datetime(2026, 1, 6, 21, 40, 57, tzinfo=UTC)


def test_an_erased_address_is_nobody() -> None:
    event = mailchimp(type="unsubscribe", email="abc123@forgotten.mailchimp.com")
    assert event.emails == ()


@given(
    st.dictionaries(
        st.sampled_from(
            ["subscriptionType", "eventType", "objectId", "occurredAt", "propertyName", "changeSource", "objectTypeId",
             "primaryObjectId", "newObjectId", "mergedObjectIds", "associationType", "fromObjectId", "toObjectId",
             "type", "fired_at", "data[email]", "data[old_email]", "data[new_email]", "data[reason]", "data[action]"]
        ),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
        | st.sampled_from(["contact.merge", "contact.associationChange", "object.merge", "unsubscribe", "cleaned"])
        | st.lists(st.integers() | st.text(max_size=5), max_size=3) | st.just({}),
    ),
    st.sampled_from(["hubspot", "mailchimp"]),
)  # fmt: skip
def test_no_stored_object_breaks_the_reader(event: dict[str, Any], vendor: str) -> None:
    read = read_event(vendor, json.dumps(event).encode())
    assert read.vendor == vendor
    assert all(ref.record_id for ref in read.refs)


def test_what_is_no_object_or_of_no_vendor_says_so() -> None:
    with pytest.raises(ValueError, match="JSON object"):
        read_event("hubspot", b"[]")
    with pytest.raises(ValueError, match="hubspot, mailchimp"):
        read_event("pipedrive", b"{}")
