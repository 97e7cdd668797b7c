"""Erasing people, and not letting them back in (reliability G25).

What stays of somebody who was erased is keyed hashes: of their addresses, so that they are never mailed, and of
every key they were known by, so that a later pull, a replayed event or another import stores nothing of them.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Table, delete, select, update

from leadbridge.store import audit, due, enrolments, packs, scores, suppressions
from leadbridge.store.engine import among
from leadbridge.store.leads import people_by_key, records_of
from leadbridge.store.rows import upsert
from leadbridge.store.tables import activities, forgotten, members, metadata, person_keys, persons, quarantine
from leadbridge.store.tables import suppressions as suppressed_addresses
from leadbridge.store.text import clean_key
from leadbridge.store.vault import Vault
from leadbridge.types import SuppressionReason, email_key

_EMAIL = email_key("")
SOURCE = "erasure"


@dataclass(slots=True)
class Erased:
    """What was erased: people, the keys they were known by, and how many rows of each table."""

    people: int = 0
    keys: set[str] = field(default_factory=set)
    rows: Counter[str] = field(default_factory=Counter)
    journeys: list[str] = field(default_factory=list)  # they were in, whose mail the platform goes on sending

    @property
    def addresses(self) -> set[str]:
        return {key.removeprefix(_EMAIL) for key in self.keys if key.startswith(_EMAIL)}


def forget(tx: Connection, vault: Vault, keys: Collection[str], who: str, now: datetime) -> Erased:
    """Erase everybody known by one of these person keys (an address, a CRM record): every row, in every table.

    Everybody with one of their addresses goes with them: nobody can tell that they are others. Keys of nobody are
    remembered too, so that whoever comes with one later is not let in. Repeating erases what came in between.
    """
    ids, every = _everybody(tx, set(keys))
    suppressions.hold(tx, ids)
    erased = Erased(people=len(ids), keys=every, journeys=enrolments.journeys_of(tx, ids))
    addresses = sorted(erased.addresses)
    suppressions.suppress(tx, vault, [(one, SuppressionReason.ERASED, SOURCE, now) for one in addresses], now)
    digests = [vault.digest(email_key(one)) for one in addresses]
    by_hand = suppressed_addresses.c.reason == SuppressionReason.OPERATOR
    tx.execute(  # an operator's own words may tell of whom they speak
        update(suppressed_addresses)
        .where(among(tx, suppressed_addresses.c.digest, sorted(digests)), by_hand)
        .values(source="operator")
    )
    hashes = {key: vault.digest(clean_key(key)) for key in erased.keys}
    gone_at = [{"digest": digest, "at": now} for digest in sorted(set(hashes.values()))]
    upsert(tx, forgotten, gone_at, key=["digest"])
    audit.without_names(tx, hashes)
    packs.empty(tx, ids)
    others = scores.colleagues(tx, ids)  # what their company comes to is another now
    for table, column, values in _places(ids, addresses, sorted(map(clean_key, erased.keys))):
        gone = tx.execute(delete(table).where(among(tx, column, values))).rowcount
        if gone:
            erased.rows[table.name] += gone
    due.mark_due(tx, others, now, due.Lane.BACKGROUND)
    detail = {"people": ids, "rows": dict(erased.rows)}
    audit.note(tx, who, "forgotten", detail, now)
    return erased


def _everybody(tx: Connection, keys: set[str]) -> tuple[list[int], set[str]]:
    """Everybody known by one of these keys, or by one that anybody among them has; and all their keys."""
    while True:
        people = set(people_by_key(tx, sorted(keys)).values())
        people |= suppressions.owners(tx, {key.removeprefix(_EMAIL) for key in keys if key.startswith(_EMAIL)})
        more = _every_key(tx, people) | keys
        if more == keys:
            return sorted(people), keys
        keys = more


def _every_key(tx: Connection, ids: Collection[int]) -> set[str]:
    """Every name these people are known by: their keys, their records, the addresses on them."""
    owned = tx.execute(select(person_keys.c.key).where(among(tx, person_keys.c.person_id, sorted(ids)))).scalars()
    records = [record for kept in records_of(tx, ids, gone=True).values() for record in kept]
    return (
        set(owned)
        | {record.ref.key for record in records}
        | {email_key(address) for address in suppressions.addresses_of(tx, ids)}
    )


def _places(
    ids: Sequence[int], addresses: Sequence[str], keys: Sequence[str]
) -> Iterator[tuple[Table, Column[Any], Sequence[int | str]]]:
    """Where anything of a person may stand: (table, column, values), what refers to others first.

    Every table that refers to a person is found by itself, so that a new one is never overlooked.
    """
    for table in reversed(metadata.sorted_tables):
        for column in table.columns:
            if any(key.column is persons.c.id for key in column.foreign_keys):
                yield table, column, ids
    yield activities, activities.c.subject, keys  # nobody's yet
    yield members, members.c.address, addresses
    yield quarantine, quarantine.c.ref, [*keys, *map(str, ids)]
    yield persons, persons.c.id, ids


def known_forgotten(tx: Connection, vault: Vault, keys: Collection[str]) -> set[str]:
    """Those of these person keys that belonged to somebody who was erased: nothing of them may be stored."""
    if tx.execute(select(forgotten.c.digest).limit(1)).first() is None:
        return set()  # nobody at all: spares a hash for each key of a large pull
    by_digest = {vault.digest(clean_key(key)): key for key in keys}
    query = select(forgotten.c.digest).where(among(tx, forgotten.c.digest, sorted(by_digest)))
    return {by_digest[digest] for digest in tx.execute(query).scalars()}
