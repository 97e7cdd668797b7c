"""Invented people, put into a store the way a pull would."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from leadbridge.store import enrolments, leads
from leadbridge.types import EnrolmentState, Lead, RecordRef, email_key

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def ref(record_id: str, vendor: str = "hubspot") -> RecordRef:
    return RecordRef(vendor, "contact", record_id)


def lead(record_id: str, email: str | None = None, *, at: datetime = NOW, opted_out: bool = False, **more: Any) -> Lead:
    """A contact; further arguments are attributes."""
    return Lead(ref(record_id), email, more, modified_at=at, opted_out=opted_out)


def person(tx: Connection, record_id: str, email: str | None = None, *, opted_out: bool = False) -> int:
    """A person with one record."""
    (made,) = leads.new_people(tx, 1, NOW)
    keys = {ref(record_id).key: made} | ({email_key(email): made} if email else {})
    leads.link_keys(tx, keys)
    leads.save_records(tx, [(made, lead(record_id, email, opted_out=opted_out))], NOW)
    leads.save_people(tx, [leads.PersonRow(made, email, {}, opted_out=opted_out)], NOW)
    return made


def people(tx: Connection, count: int) -> list[int]:
    """People nothing is known of."""
    return leads.new_people(tx, count, NOW)


def intent(person_id: int, journey: str = "guides", entry: int = 0, **more: Any) -> enrolments.Intent:
    values: dict[str, Any] = {"vendor": "mailchimp", "address": "ada@acme.example", "trigger": "guides",
              "reason_in": "awareness",
              "expires_at": datetime.now(UTC) + timedelta(days=1)}  # fmt: skip
    return enrolments.Intent(person_id=person_id, journey=journey, entry=entry, **(values | more))


def move(
    tx: Connection,
    enrolment_id: int,
    token: int,
    from_state: EnrolmentState,
    to_state: EnrolmentState,
    words: str = "",
    now: datetime | None = None,
) -> bool:
    """Move one claimed row of the ledger; False when it is no longer the token's."""
    return bool(enrolments.move_all(tx, [enrolments.Move(enrolment_id, token, from_state, to_state, words)], now))
