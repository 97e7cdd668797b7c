"""Forgetting somebody everywhere we keep anything, and keeping them forgotten (reliability G25)."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from urllib.parse import unquote, unquote_plus

from sqlalchemy import Connection

from connectors.events import read_event
from leadbridge import addresses, clock, logs
from leadbridge.store import forgetting, quarantine
from leadbridge.store.engine import Store
from leadbridge.store.forgetting import Erased
from leadbridge.types import Activity, Lead, WebhookEvent, email_key

log = logs.logger(__name__)

INBOX = "inbox:"
"""How sources of the quarantine begin whose bodies are webhook events."""


def forget(store: Store, email: str, who: str) -> Erased:
    """Erase whoever has this address, with a report of what was erased. Repeating erases what came in between.

    Raises ValueError when the text is no address. The CRM and the e-mail platform keep what is theirs: erase it there.
    """
    address = addresses.canonical(email)
    if address is None:
        raise ValueError(f"{email!r} is no e-mail address")
    with store.writing() as tx:
        erased = forget_keys(tx, store, [email_key(address)], who)
    store.flush_erased()
    return erased


def forget_keys(tx: Connection, store: Store, keys: Collection[str], who: str) -> Erased:
    """The same by person keys, in the caller's transaction: what a vendor's erasure event asks for."""
    erased = forgetting.forget(tx, store.vault, keys, who, clock.now())
    if bodies := _quarantined(tx, store, erased):
        for item in bodies:
            quarantine.take_back(tx, store.vault, item)
        erased.rows["quarantine"] += len(bodies)
    log.info("forgotten", people=erased.people, rows=sum(erased.rows.values()))
    return erased


def _quarantined(tx: Connection, store: Store, erased: Erased) -> list[int]:
    """Items of the quarantine whose sealed body speaks of the erased: by what it says as an event, or by address."""
    found = []
    for item in _all_quarantined(tx):
        body = quarantine.body_of(tx, store.vault, item.id) or b""
        if _names(body, erased.addresses) or (
            item.source.startswith(INBOX) and erased.keys & _keys(item.source.removeprefix(INBOX), body)
        ):
            found.append(item.id)
    return found


_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_ADDRESS = re.compile(r"[^\s\"'<>(),:;\\\[\]{}=&|]+@[^\s\"'<>(),:;\\\[\]{}=&|]+")


def _names(body: bytes, wanted: Collection[str]) -> bool:
    """Is one of these canonical addresses in the body, in whatever spelling: of JSON, of a form, of an address?"""
    raw = body.decode("utf-8", "replace")
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), raw)
    texts = {one.lower() for text in (raw, plain) for one in (text, unquote(text), unquote_plus(text))}
    return any(
        any(address in text for address in wanted)
        or any(addresses.canonical(found) in wanted for found in _ADDRESS.findall(text))
        for text in texts
    )


def _all_quarantined(tx: Connection) -> Iterator[quarantine.Quarantined]:
    after = 0
    while page := quarantine.listing(tx, after=after):
        yield from page
        after = page[-1].id


def _keys(vendor: str, body: bytes) -> set[str]:
    """Whom a body speaks of, read as an event; nobody when it cannot be read, which may be why it was set aside."""
    try:
        return keys_of(read_event(vendor, body))
    except Exception:  # noqa: BLE001 - whatever a body can do to its reader
        return set()


def keys_of(event: WebhookEvent) -> set[str]:
    """Person keys of those an event speaks of."""
    return {ref.key for ref in event.refs} | {email_key(email) for email in event.emails}


# --- not let back in -------------------------------------------------------------------------------------------------


def without_forgotten(tx: Connection, store: Store, leads: Sequence[Lead]) -> list[Lead]:
    """These records but for those of somebody forgotten. What else is known of such a record's person goes too: it is
    the same human, under another name or merged into another record."""
    keys = {lead.ref: _keys_of(lead) for lead in leads}
    gone = forgetting.known_forgotten(tx, store.vault, {key for found in keys.values() for key in found})
    if not gone:
        return list(leads)
    again = {key for found in keys.values() if found & gone for key in found}
    if again - gone:
        forget_keys(tx, store, again, "leadbridge")
    return [lead for lead in leads if not keys[lead.ref] & gone]


def _keys_of(lead: Lead) -> set[str]:
    known = {found for one in (lead.email, *lead.other_emails) if (found := addresses.canonical(one))}
    return {lead.ref.key, *(alias.key for alias in lead.aliases), *map(email_key, known)}


def activities_without_forgotten(tx: Connection, store: Store, rows: Sequence[Activity]) -> list[Activity]:
    """These activities but for those of somebody forgotten."""
    gone = forgetting.known_forgotten(tx, store.vault, {row.subject for row in rows})
    return [row for row in rows if row.subject not in gone]


def report(erased: Erased) -> dict[str, Any]:
    """What was erased, as plain data: rows by table, and what stays."""
    return {
        "people": erased.people,
        "rows": dict(sorted(erased.rows.items())),
        "journeys": erased.journeys,
        "stays": "keyed hashes of addresses and record ids, so that nothing of them is stored or mailed again",
        "not_ours": "the CRM and the e-mail platform keep their own records; backups made before still hold them",
    }
