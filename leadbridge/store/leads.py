"""People, the CRM records they unite, and the keys they are known by.

Whoever decides who is who does it alone: `people_by_key` and `merge_people`, in a writing transaction, wait for any
other transaction that does so to end.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    delete,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
    update,
)

from leadbridge import clock
from leadbridge.addresses import canonical
from leadbridge.store import history
from leadbridge.store.activities import adopt
from leadbridge.store.columns import Encoded, from_json, to_json
from leadbridge.store.engine import among, exclusive, is_writing
from leadbridge.store.merging import IDENTITY, go_over, merge_people
from leadbridge.store.rows import insert_all, tuples, update_each, upsert
from leadbridge.store.tables import person_keys, persons, records, write_backs
from leadbridge.store.text import clean_key, clean_text, from_micros
from leadbridge.types import Lead, RecordRef, Value, email_key

__all__ = [
    "PersonRow", "StoredRecord", "addresses_of", "all_person_ids", "changed_at", "go_over", "link_keys", "merge_people",
    "new_people", "people", "people_by_key", "person_by_email", "read_state", "records_of", "refs_of",
    "retire_records", "save_people", "save_records", "unread_since",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person, united: what a score is computed from."""

    id: int
    email: str | None
    attributes: Mapping[str, Value]
    opted_out: bool = False
    lifecycle_stage: str | None = None
    created_at: datetime | None = None  # when a CRM first knew the person; None, when saving: leave as it is
    valid_from: datetime | None = None  # since when this is so, as the CRM says; None, when saving: since now
    changed_at: datetime | None = None  # when any of the above last changed here; not saved
    canonical: str | None = field(default=None, compare=False)  # form of the e-mail (`addresses`), as found by saving


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One CRM record as last read."""

    ref: RecordRef
    person_id: int
    email: str | None
    attributes: Mapping[str, Value]
    opted_out: bool
    modified_at: datetime
    created_at: datetime | None = None
    written: Mapping[str, str] = field(default_factory=dict)  # our properties as the vendor last confirmed them
    gone_at: datetime | None = None
    values_at: datetime | None = None  # since when the vendor shows these values (`save_records`); None: modified_at


# --- keys ----------------------------------------------------------------------------------------------------------


def people_by_key(tx: Connection, keys: Collection[str]) -> dict[str, int]:
    """Whose these keys are; keys nobody has are left out."""
    if is_writing(tx):
        exclusive(tx, IDENTITY)
    owned = select(person_keys.c.key, person_keys.c.person_id).where(among(tx, person_keys.c.key, sorted(keys)))
    found = dict(tx.execute(owned).all())
    return {key: found[kept] for key in keys if (kept := clean_key(key)) in found}


def new_people(tx: Connection, count: int, now: datetime) -> list[int]:
    """Make `count` people nothing is known of yet; returns their ids."""
    rows = [{"created_at": now, "changed_at": now}] * count
    return sorted(row.id for row in insert_all(tx, persons, rows, returning=[persons.c.id]))


def link_keys(tx: Connection, owners: Mapping[str, int]) -> set[int]:
    """Give each key to its person, whoever had it before. Returns who gained activities that waited for the key."""
    unique = {clean_key(key): person for key, person in owners.items()}
    upsert(
        tx,
        person_keys,
        [{"key": key, "person_id": person} for key, person in sorted(unique.items())],
        key=["key"],
        change=lambda new: {"person_id": new.person_id},
    )
    return adopt(tx, unique)


def person_by_email(tx: Connection, address: str) -> int | None:
    """Whose canonical address this is; None when nobody's."""
    by_key = select(person_keys.c.person_id).where(person_keys.c.key == email_key(address))
    by_row = select(persons.c.id).where(persons.c.email_canonical == address).order_by(persons.c.id).limit(1)
    found = tx.execute(by_key).scalar()
    return found if found is not None else tx.execute(by_row).scalar()


# --- records -------------------------------------------------------------------------------------------------------

_SAVED = ("person_id", "email", "email_canonical", "attributes", "opted_out", "created_at", "modified_at", "read_at",
          "written", "counters", "values_at")  # fmt: skip


def save_records(
    tx: Connection, rows: Sequence[tuple[int, Lead]], now: datetime, *, read_now: bool = False
) -> set[int]:
    """Store records with the person each belongs to; returns the people whose records were stored.

    Older never overwrites newer (by `modified_at`), equal may. A record held for gone comes back only when modified
    since; with `read_now` (the rows answer a question for these very records, not a search that may lag) also when not.

    `values_at` stays where a version shows the values that the stored one did: our own writes move `modified_at`, and
    must not make a record the newest word on what a person edited elsewhere since (G11, G17).
    """
    newest: dict[RecordRef, tuple[int, Lead]] = {}
    for person, lead in rows:
        if lead.ref not in newest or newest[lead.ref][1].modified_at <= lead.modified_at:
            newest[lead.ref] = person, lead
    columns = records.c
    compared = (columns.email, type_coerce(columns.attributes, Text).label("text"), columns.opted_out,
                columns.modified_at, columns.values_at)  # fmt: skip
    before = dict(_rows(tx, newest, *compared))
    texts = {ref: Encoded(to_json(lead.attributes)) for ref, (_, lead) in newest.items()}
    kept = upsert(
        tx,
        records,
        [
            {
                **_place(ref),
                "person_id": person,
                "email": lead.email,
                "email_canonical": canonical(lead.email),
                "attributes": texts[ref],
                "opted_out": lead.opted_out,
                "created_at": lead.created_at,
                "modified_at": lead.modified_at,
                "read_at": now,
                "written": lead.written,
                "counters": lead.counters,
                "values_at": _values_at(lead, texts[ref], before.get(ref)),
            }
            for ref, (person, lead) in sorted(newest.items())
        ],
        key=["vendor", "object_type", "record_id"],
        change=lambda new: {**{name: new[name] for name in _SAVED}, "gone_at": None},
        only_if=lambda new: or_(
            new.modified_at > records.c.modified_at,
            and_(new.modified_at == records.c.modified_at, true() if read_now else records.c.gone_at.is_(None)),
        ),
        returning=[records.c.person_id],
    )
    return {row.person_id for row in kept}


def _values_at(lead: Lead, text: str, before: Row[Any] | None) -> datetime | None:
    """Since when a record is as this version shows it, with these attributes; None: since its `modified_at`."""
    if before is None:
        return None
    email = None if lead.email is None else clean_text(lead.email)
    kept = (email, lead.opted_out) == (before.email, before.opted_out)
    if text != before.text:
        old, new = from_json(before.text), from_json(text)
        # The stage is left out: we write it ourselves, and of several records the furthest counts, not the newest.
        kept = kept and all(old.get(name) == new.get(name) for name in (old.keys() | new.keys()) - {"lifecycle_stage"})
        # The same version with other fields: the configuration asks for others, nobody edited anything.
        kept = kept or (lead.modified_at == before.modified_at and old.keys() != new.keys())
    return (before.values_at or before.modified_at) if kept else None


def records_of(tx: Connection, person_ids: Collection[int], *, gone: bool = False) -> dict[int, list[StoredRecord]]:
    """The records of these people, by person; with `gone`, also those the vendor no longer has."""
    query = select(records).where(among(tx, records.c.person_id, sorted(set(person_ids))))
    return _by_person(tx, query if gone else query.where(records.c.gone_at.is_(None)))


def hold(tx: Connection, person_ids: Collection[int]) -> dict[int, int]:
    """Hold the records of these people, and the people against merging and suppression, until the transaction ends;
    returns `changed_at` of them.

    For one that goes on to their due rows, scores and enrolments. Whoever stores records takes them first and those
    afterwards; taken in one order by all, no two transactions wait for each other.
    """
    ids = sorted(set(person_ids))
    order = (records.c.vendor, records.c.object_type, records.c.record_id)
    of_them = select(records.c.person_id).where(among(tx, records.c.person_id, ids)).order_by(*order)
    tx.execute(of_them.with_for_update(key_share=True)).close()
    return dict(tuples(tx, _changed(tx, ids).order_by(persons.c.id).with_for_update(read=True, key_share=True)))


def refs_of(tx: Connection, person_ids: Collection[int], vendor: str) -> dict[int, list[StoredRecord]]:
    """The records these people have at one vendor now, by person.

    In a writing transaction they are held until it ends, so that no confirmation of a write slips in before
    `outbox.want` (see there).
    """
    query = select(records).where(
        among(tx, records.c.person_id, sorted(set(person_ids))), records.c.vendor == vendor, records.c.gone_at.is_(None)
    )
    return _by_person(tx, query.with_for_update(key_share=True) if is_writing(tx) else query)


def _by_person(tx: Connection, query: Select[Any]) -> dict[int, list[StoredRecord]]:
    found: dict[int, list[StoredRecord]] = defaultdict(list)
    for row in tx.execute(query.order_by(records.c.vendor, records.c.object_type, records.c.record_id)):
        found[row.person_id].append(_record(row))
    return dict(found)


_SKEW = timedelta(hours=1)
"""So far apart at most are the clocks of workers that are right."""


def unread_since(
    tx: Connection, vendor: str, kinds: Collection[str], before: datetime, after: RecordRef | None, limit: int
) -> list[RecordRef]:
    """The next records above `after` that the vendor still has, as far as we know, and that were last read before; or
    later than now, before the clock was put back."""
    place = records.c.vendor, records.c.object_type, records.c.record_id
    query = select(*place).where(
        records.c.vendor == vendor,
        among(tx, records.c.object_type, sorted(kinds)),
        records.c.gone_at.is_(None),
        (records.c.read_at < before) | (records.c.read_at > clock.now() + _SKEW),
    )
    if after is not None:
        query = query.where(tuple_(*place[1:]) > tuple_(literal(after.object_type), literal(after.record_id)))
    return [RecordRef(*row) for row in tx.execute(query.order_by(*place).limit(limit))]


def known_records(tx: Connection, vendor: str) -> int:
    """How many records of one CRM are known and there."""
    query = select(func.count()).select_from(records)
    return tx.execute(query.where(records.c.vendor == vendor, records.c.gone_at.is_(None))).scalar_one()


def counters_of(tx: Connection, refs: Collection[RecordRef]) -> dict[RecordRef, Mapping[str, str]]:
    """The counters of these records as last read; records never read are missing."""
    return {ref: row.counters for ref, row in _rows(tx, refs, records.c.counters)}


def read_state(tx: Connection, refs: Collection[RecordRef]) -> dict[RecordRef, tuple[datetime, bool]]:
    """When these records were last changed, by the vendor's clock as we last read them, and whether they are gone.
    Records never read are missing."""
    rows = _rows(tx, refs, records.c.modified_at, records.c.gone_at)
    return {ref: (row.modified_at, row.gone_at is not None) for ref, row in rows}


def _rows(
    tx: Connection, refs: Collection[RecordRef], *columns: ColumnElement[Any]
) -> Iterator[tuple[RecordRef, Row[Any]]]:
    """These columns of those of the records that were ever read."""
    by_kind = defaultdict(set)
    for ref in refs:
        by_kind[ref.vendor, ref.object_type].add(ref.record_id)
    for (vendor, kind), ids in sorted(by_kind.items()):
        query = select(records.c.record_id, *columns).where(
            records.c.vendor == vendor, records.c.object_type == kind, among(tx, records.c.record_id, sorted(ids))
        )
        for row in tx.execute(query):
            yield RecordRef(vendor, kind, row.record_id), row


def retire_records(tx: Connection, refs: Iterable[RecordRef], now: datetime) -> set[int]:
    """These records are gone at the vendor: they no longer count, and nothing waits to be written to them.

    Returns the people they belonged to. The rows stay: a record that was opted out keeps its person opted out.
    """
    people_hit: set[int] = set()
    by_kind = defaultdict(set)
    for ref in refs:
        by_kind[ref.vendor, ref.object_type].add(ref.record_id)
    for (vendor, object_type), ids in sorted(by_kind.items()):
        gone = tx.execute(
            update(records)
            .where(
                records.c.vendor == vendor,
                records.c.object_type == object_type,
                among(tx, records.c.record_id, sorted(ids)),
                records.c.gone_at.is_(None),
            )
            .values(gone_at=now)
            .returning(records.c.person_id)
        )
        people_hit.update(gone.scalars())
        tx.execute(
            delete(write_backs).where(
                write_backs.c.vendor == vendor,
                write_backs.c.object_type == object_type,
                among(tx, write_backs.c.record_id, sorted(ids)),
            )
        )
    return people_hit


def _place(ref: RecordRef) -> dict[str, str]:
    return {"vendor": ref.vendor, "object_type": ref.object_type, "record_id": ref.record_id}


def _record(row: Row[Any]) -> StoredRecord:
    return StoredRecord(
        RecordRef(row.vendor, row.object_type, row.record_id),
        row.person_id,
        row.email,
        row.attributes,
        row.opted_out,
        row.modified_at,
        row.created_at,
        row.written,
        row.gone_at,
        row.values_at,
    )


# --- people --------------------------------------------------------------------------------------------------------


def save_people(tx: Connection, rows: Sequence[PersonRow], now: datetime | None = None) -> set[int]:
    """Store what these people are, united; returns the ids of those of whom something really changed.

    Somebody with an opted-out record that is gone stays opted out. Ids that do not exist (any more) are left out.
    """
    by_id = {row.id: row for row in rows}
    held = tx.execute(
        select(persons.c.id, persons.c.inputs_hash, persons.c.created_at, persons.c.valid_from)
        .where(among(tx, persons.c.id, sorted(by_id)))
        .order_by(persons.c.id)
        .with_for_update(key_share=True)
    ).all()
    left = set(
        tx.execute(
            select(records.c.person_id).where(
                among(tx, records.c.person_id, sorted(by_id)), records.c.gone_at.is_not(None), records.c.opted_out
            )
        ).scalars()
    )
    at = now or clock.now()
    changed = []
    for person, old_hash, created_at, valid_from in held:
        row = by_id[person]
        values = {
            "email": row.email,
            "attributes": row.attributes,
            "opted_out": row.opted_out or person in left,
            "lifecycle_stage": row.lifecycle_stage,
            "created_at": row.created_at or created_at,
        }
        new_hash = hashlib.sha256(to_json(values).encode()).hexdigest()
        if new_hash != old_hash:
            changed.append(
                {"id": person, **values, "email_canonical": canonical(row.email), "inputs_hash": new_hash,
                 "changed_at": at, "valid_from": _since(row.valid_from, valid_from, at)}
            )  # fmt: skip
    history.remember(tx, [row["id"] for row in changed], at)
    update_each(tx, persons, changed, key=["id"])
    return {row["id"] for row in changed}


def _since(said: datetime | None, before: datetime | None, now: datetime) -> datetime:
    """Since when a person's new row is so: the CRM's word, unless what it replaces began later."""
    if said is None or said > now or (before is not None and said <= before):
        return now if before is None else max(now, before)
    return said


def people(tx: Connection, person_ids: Collection[int]) -> dict[int, PersonRow]:
    """These people; ids that do not exist are left out."""
    columns = persons.c
    dated = [type_coerce(column, BigInteger) for column in (columns.created_at, columns.valid_from, columns.changed_at)]
    query = select(columns.id, columns.email, columns.opted_out, columns.lifecycle_stage, columns.email_canonical,
                   type_coerce(columns.attributes, Text), *dated)  # fmt: skip
    rows = tuples(tx, query.where(among(tx, columns.id, sorted(set(person_ids)))))
    known = from_json(f"[{','.join([row[5] for row in rows])}]")  # read at once, at a fraction of the time
    found = {}
    for (person, email, opted_out, stage, form, _, *micros), attributes in zip(rows, known, strict=True):
        created, valid, changed = (None if one is None else from_micros(one) for one in micros)
        found[person] = PersonRow(person, email, attributes, bool(opted_out), stage, created, valid, changed, form)
    return found


class People(Mapping[int, PersonRow]):
    """The same, read when somebody is first looked up: for as long as the transaction lasts."""

    def __init__(self, tx: Connection, person_ids: Collection[int]) -> None:
        self._asked = tx, person_ids

    @cached_property
    def _rows(self) -> dict[int, PersonRow]:
        return people(*self._asked)

    def __getitem__(self, person: int) -> PersonRow:
        return self._rows[person]

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def changed_at(tx: Connection, person_ids: Collection[int]) -> dict[int, int]:
    """When what is stored of these people last changed, in microseconds since 1970; who does not exist is left out."""
    return dict(tuples(tx, _changed(tx, sorted(set(person_ids)))))


def _changed(tx: Connection, ids: Sequence[int]) -> Select[Any]:
    columns = persons.c
    return select(columns.id, type_coerce(columns.changed_at, BigInteger)).where(among(tx, columns.id, ids))


def all_person_ids(tx: Connection, after: int, limit: int) -> list[int]:
    """The next ids above `after`, rising: partitions for work over everybody."""
    return list(
        tx.execute(select(persons.c.id).where(persons.c.id > after).order_by(persons.c.id).limit(limit)).scalars()
    )


def addresses_of(tx: Connection, person_ids: Collection[int]) -> set[str]:
    """Every canonical address ever known to be these people's."""
    prefix = email_key("")
    keys = tx.execute(select(person_keys.c.key).where(among(tx, person_keys.c.person_id, sorted(person_ids)))).scalars()
    return {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}


def first_made(tx: Connection, vendor: str, object_type: str) -> datetime | None:
    """When the oldest of these records was made; None when there is none of which it is known."""
    found: datetime | None = tx.execute(
        select(func.min(records.c.created_at)).where(*_live(vendor, object_type))
    ).scalar()
    return found


def number_made(tx: Connection, vendor: str, object_type: str, since: datetime, before: datetime) -> int:
    """How many of these records were made in that time (`before` is not in it)."""
    made = (records.c.created_at >= since, records.c.created_at < before)
    query = select(func.count()).select_from(records).where(*_live(vendor, object_type), *made)
    return tx.execute(query).scalar_one()


def _live(vendor: str, object_type: str) -> tuple[ColumnElement[bool], ...]:
    return records.c.vendor == vendor, records.c.object_type == object_type, records.c.gone_at.is_(None)
