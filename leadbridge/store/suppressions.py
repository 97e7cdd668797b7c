"""Who must not be mailed (reliability G20-G22, pattern 8). Added to, never taken from, here.

A suppression belongs to the person: it holds for every address the person has or had, and through merges. What is kept
of an address is its keyed hash, so that it outlives even the erasure of the person.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, Connection, func, select, union, union_all

from leadbridge.addresses import canonical
from leadbridge.store.due import Lane, mark_due
from leadbridge.store.engine import among, is_writing
from leadbridge.store.enrolments import cancel_waiting, in_a_journey
from leadbridge.store.rows import tuples, upsert
from leadbridge.store.tables import person_keys, persons, records, suppressed_people, suppressions
from leadbridge.store.text import clean_key
from leadbridge.store.vault import Vault
from leadbridge.types import SuppressionReason, email_key

STRICTEST_FIRST = (
    SuppressionReason.ERASED,
    SuppressionReason.COMPLAINED,
    SuppressionReason.UNSUBSCRIBED,
    SuppressionReason.BOUNCED,
    SuppressionReason.OPERATOR,
    SuppressionReason.CRM_OPT_OUT,
)
"""Of several reasons, the one that is named."""

_EMAIL = email_key("")


def suppress(
    tx: Connection, vault: Vault, rows: Sequence[tuple[str, SuppressionReason, str, datetime]], now: datetime
) -> set[int]:
    """Suppress addresses: (canonical address, reason, source, when it was said). Repeating changes nothing.

    Whoever has such an address is suppressed as a person, what waits for them is cancelled, and who is in a journey is
    due, to be taken out of it, all in this transaction. Returns those people; for an address nobody has, the hash stays
    and waits.
    """
    said = {(email_key(_canonical(address)), reason): (source, at) for address, reason, source, at in rows}
    by_address = _owners(tx, {key.removeprefix(_EMAIL) for key, _ in said})
    return _suppress(tx, vault, said, {email_key(address): people for address, people in by_address.items()}, now)


def suppress_keys(
    tx: Connection, vault: Vault, rows: Sequence[tuple[str, SuppressionReason, str, datetime]], now: datetime
) -> set[int]:
    """The same by person keys, of somebody who left before anybody knew their address: the hash of the key waits for
    them (`left_by`). Every address of those found is suppressed too."""
    said = {(clean_key(key), reason): (source, at) for key, reason, source, at in rows}
    owners: dict[str, set[int]] = defaultdict(set)
    owned = select(person_keys.c.key, person_keys.c.person_id)
    for key, person in tx.execute(owned.where(among(tx, person_keys.c.key, sorted({key for key, _ in said})))):
        owners[key].add(person)
    found = _suppress(tx, vault, said, owners, now)
    addresses = [
        (address, reason, source, at)
        for (key, reason), (source, at) in said.items()
        for address in addresses_of(tx, owners[key]) | ({key.removeprefix(_EMAIL)} if key.startswith(_EMAIL) else set())
    ]
    return found | (suppress(tx, vault, addresses, now) if addresses else set())


def left_by(tx: Connection, vault: Vault, keys: Collection[str]) -> list[tuple[str, SuppressionReason, str, datetime]]:
    """What was said of these person keys by `suppress_keys`, as it takes it."""
    by_digest = {vault.digest(clean_key(key)): key for key in keys}
    query = select(suppressions).where(among(tx, suppressions.c.digest, sorted(by_digest)))
    return [(by_digest[row.digest], SuppressionReason(row.reason), row.source, row.at) for row in tx.execute(query)]


def _suppress(
    tx: Connection,
    vault: Vault,
    said: Mapping[tuple[str, SuppressionReason], tuple[str, datetime]],
    owners: Mapping[str, Collection[int]],
    now: datetime,
) -> set[int]:
    """Person keys with their reasons; `owners` is who has each of them."""
    hit = {
        (person, reason): (source, at) for (key, reason), (source, at) in said.items() for person in owners.get(key, ())
    }
    people = sorted({person for person, _ in hit})
    hold(tx, people)
    upsert(
        tx,
        suppressions,
        sorted(
            (
                {"digest": vault.digest(key), "reason": reason, "source": source, "at": at}
                for (key, reason), (source, at) in said.items()
            ),
            key=lambda row: (row["digest"], row["reason"]),
        ),
        key=["digest", "reason"],
    )
    upsert(
        tx,
        suppressed_people,
        [
            {"person_id": person, "reason": reason, "source": source, "at": at}
            for (person, reason), (source, at) in sorted(hit.items())
        ],
        key=["person_id", "reason"],
    )
    cancel_waiting(tx, people, "suppressed", now)
    mark_due(tx, in_a_journey(tx, people), now, Lane.HOT)  # to be taken out of it
    return set(people)


def hold(tx: Connection, person_ids: Collection[int]) -> None:
    """Hold these people until the transaction ends: wait for those that have asked `suppressed` and go on to record an
    intent, and make later ones wait.

    People come before everything else that is held of them, and in order of their ids: their suppressions, then their
    rows in the ledger. A transaction that asks about some and suppresses others holds all of them here first; taken in
    two goes, or after their rows, two transactions could wait for each other.
    """
    ids = sorted(set(person_ids))
    tx.execute(select(persons.c.id).where(among(tx, persons.c.id, ids)).order_by(persons.c.id).with_for_update())


def suppressed(tx: Connection, vault: Vault, person_ids: Collection[int]) -> dict[int, SuppressionReason]:
    """Those of these people who must not be mailed, with the strictest reason: by person, by every address of theirs,
    and by the CRM's own opt-out.

    In a writing transaction the people are held until it ends: a suppression made before is seen, one made later waits
    and then finds, and cancels, whatever this transaction intends.
    """
    ids = sorted(set(person_ids))
    columns = persons.c
    query = select(columns.id, columns.opted_out, columns.email_canonical).where(among(tx, columns.id, ids))
    query = query.order_by(columns.id)
    if is_writing(tx):
        query = query.with_for_update(read=True, key_share=True)
    reasons: dict[int, set[str]] = defaultdict(set)
    people_of: dict[str, set[int]] = defaultdict(set)
    for person, opted_out, address in tuples(tx, query):
        if opted_out:
            reasons[person].add(SuppressionReason.CRM_OPT_OUT)
        if address:
            people_of[address].add(person)
    by_person = select(suppressed_people.c.person_id, suppressed_people.c.reason)
    for person, reason in tuples(tx, by_person.where(among(tx, suppressed_people.c.person_id, ids))):
        reasons[person].add(reason)
    for person, address in tuples(tx, _known_addresses(tx, ids)):
        people_of[address].add(person)
    address_of = {_digest(vault, address): address for address in people_of}
    by_address = select(suppressions.c.digest, suppressions.c.reason)
    for digest, reason in tx.execute(by_address.where(among(tx, suppressions.c.digest, sorted(address_of)))):
        for person in people_of[address_of[digest]]:
            reasons[person].add(reason)
    return {person: strictest for person, found in reasons.items() if (strictest := _strictest(found))}


def is_suppressed(tx: Connection, vault: Vault, address: str) -> SuppressionReason | None:
    """Why this address must not be mailed: on its own account, or because of who has it. None when it may be."""
    address = _canonical(address)
    by_address = tx.execute(select(suppressions.c.reason).where(suppressions.c.digest == _digest(vault, address)))
    reasons = set(by_address.scalars())
    reasons.update(suppressed(tx, vault, _owners(tx, {address}).get(address, set())).values())
    return _strictest(reasons)


def told_by(tx: Connection, vault: Vault, addresses: Collection[str], sources: Collection[str]) -> set[str]:
    """Those of these canonical addresses of which one of these sources itself said that they left."""
    by_digest = {_digest(vault, address): address for address in addresses}
    query = select(suppressions.c.digest).where(suppressions.c.source.in_(sorted(sources)))
    found = tx.execute(query.where(among(tx, suppressions.c.digest, sorted(by_digest)))).scalars()
    return {by_digest[digest] for digest in found}


def owners(tx: Connection, addresses: Collection[str]) -> set[int]:
    """Everybody who has one of these canonical addresses: by key, as their own, or on one of their records."""
    return {person for people in _owners(tx, set(addresses)).values() for person in people}


def addresses_of(tx: Connection, person_ids: Collection[int]) -> set[str]:
    """Every canonical address of these people: by key, as their own, or on one of their records."""
    return {address for _, address in _addresses(tx, sorted(set(person_ids)))}


def _strictest(reasons: Collection[str]) -> SuppressionReason | None:
    return next((reason for reason in STRICTEST_FIRST if reason in reasons), None)


def _canonical(address: str) -> str:
    return clean_key(canonical(address) or address.strip().lower())


def _digest(vault: Vault, address: str) -> str:
    return vault.digest(email_key(address))


def _owners(tx: Connection, addresses: Collection[str]) -> dict[str, set[int]]:
    """Who has each canonical address: by key, as the person's own, or on one of their records."""
    wanted = sorted(addresses)
    found = tx.execute(
        union(
            select(person_keys.c.key, person_keys.c.person_id).where(
                among(tx, person_keys.c.key, [email_key(address) for address in wanted])
            ),
            select(persons.c.email_canonical, persons.c.id).where(among(tx, persons.c.email_canonical, wanted)),
            select(records.c.email_canonical, records.c.person_id).where(among(tx, records.c.email_canonical, wanted)),
        )
    )
    owners: dict[str, set[int]] = defaultdict(set)
    for address, person in found:
        owners[address.removeprefix(_EMAIL)].add(person)
    return owners


def _addresses(tx: Connection, ids: Sequence[int]) -> list[tuple[int, str]]:
    """Every canonical address of these people; one that is known in two ways comes twice."""
    own = select(persons.c.id, persons.c.email_canonical).where(
        among(tx, persons.c.id, ids), persons.c.email_canonical.is_not(None)
    )
    return [*tuples(tx, own), *tuples(tx, _known_addresses(tx, ids))]


def _known_addresses(tx: Connection, ids: Sequence[int]) -> CompoundSelect[Any]:
    """Person and canonical address: by key, and on one of their records."""
    keys = select(person_keys.c.person_id, func.substr(person_keys.c.key, len(_EMAIL) + 1)).where(
        among(tx, person_keys.c.person_id, ids), person_keys.c.key >= _EMAIL, person_keys.c.key < "email;"
    )
    on_records = select(records.c.person_id, records.c.email_canonical).where(
        among(tx, records.c.person_id, ids), records.c.email_canonical.is_not(None)
    )
    return union_all(keys, on_records)
