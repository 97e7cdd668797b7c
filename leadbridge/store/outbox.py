"""What has yet to be written to the vendors: the wish commits with the decision, a sender works through the wishes.

One row per vendor record (`RecordRef`), holding the newest wish only (reliability G18, pattern 2). E-mail platforms'
members are records too: object type "member", record id the canonical address. What the vendor confirmed is kept with
the record, and is what the next changes are computed against (G15): read it with `records_of` or `confirmed` in the
writing transaction that then calls `want`; on PostgreSQL both hold the records until it ends, so that no confirmation
slips in between.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Table, Text, delete, func, select, type_coerce, update

from leadbridge.store import quarantine
from leadbridge.store.columns import from_json, to_json
from leadbridge.store.due import Lane
from leadbridge.store.engine import among, database_now, is_writing
from leadbridge.store.leases import SECONDS, UNHELD, claim_rows, held_ids, renew_rows
from leadbridge.store.rows import tuples, update_each, upsert
from leadbridge.store.tables import members, records, write_backs
from leadbridge.store.text import clean_key, from_micros, to_micros
from leadbridge.store.vault import Vault
from leadbridge.types import RecordRef

MEMBER = "member"
"""Object type of what an e-mail platform keeps."""

WRITES_PER_HOUR = 6
"""Writes one record takes in any hour; what comes beyond waits (G17)."""

PENDING, REFUSED = "pending", "refused"

REASSERTED_AFTER = timedelta(minutes=2)
"""Somebody else changed a value of ours that has not moved since: it is set back at once twice in an hour, then a
little later each time, so that two systems that copy each other do not use up the record's writes (G17)."""

_RENEWED = ("person_id", "wanted", "version", "state", "attempts", "due_at", "lane")
_HOUR = timedelta(hours=1)


class Wanted(NamedTuple):
    """Values one record should show: the vendor's property name to text; empty when it shows them all already."""

    ref: RecordRef
    person_id: int
    values: Mapping[str, str]
    version: int  # of the person's scores and standing (`scores.versions`): only grows
    lane: int = Lane.NORMAL


@dataclass(frozen=True, slots=True)
class ClaimedWrite:
    """One wish, claimed. `attempts` counts this claim."""

    ref: RecordRef
    values: Mapping[str, str]
    version: int
    token: int
    person_id: int
    attempts: int
    id: int


class Confirmed(NamedTuple):
    """What a vendor last confirmed of our values on one record."""

    written: Mapping[str, str]
    version: int = 0
    times: tuple[datetime, ...] = ()  # of the newest writes


def confirmed(tx: Connection, refs: Collection[RecordRef]) -> dict[RecordRef, Confirmed]:
    """What the vendors last confirmed of our values on these records; records never seen are left out."""
    found: dict[RecordRef, Confirmed] = {}
    for table, vendor, object_type, by_id in _grouped(refs):
        query = (
            select(table)
            .where(table.c.vendor == vendor, among(tx, _record_id(table), sorted(by_id)))
            .order_by(_record_id(table))
        )
        if table is records:
            query = query.where(records.c.object_type == object_type)
        if is_writing(tx):
            query = query.with_for_update(key_share=True)
        for row in tx.execute(query):
            times = tuple(from_micros(micros) for micros in row.written_times)
            ref = by_id[row._mapping[_record_id(table)]]
            found[ref] = Confirmed(row.written, row.written_version, times)
    return found


def records_of(
    tx: Connection, person_ids: Collection[int], vendor: str
) -> dict[int, list[tuple[RecordRef, Confirmed]]]:
    """The records these people have at one CRM now, by person, each with what `confirmed` says of it."""
    columns = records.c
    query = (
        select(columns.person_id, columns.object_type, columns.record_id, type_coerce(columns.written, Text),
               columns.written_version, type_coerce(columns.written_times, Text))
        .where(among(tx, columns.person_id, sorted(set(person_ids))), columns.vendor == vendor,
               columns.gone_at.is_(None))
        .order_by(columns.object_type, columns.record_id)
    )  # fmt: skip
    if is_writing(tx):
        query = query.with_for_update(key_share=True)
    found: dict[int, list[tuple[RecordRef, Confirmed]]] = defaultdict(list)
    for person, object_type, record_id, written, version, times in tuples(tx, query):
        shown = Confirmed(from_json(written), version, tuple(map(from_micros, from_json(times))))
        found[person].append((RecordRef(vendor, object_type, record_id), shown))
    return dict(found)


def want(
    tx: Connection, rows: Sequence[Wanted], now: datetime, known: Mapping[RecordRef, Confirmed] | None = None
) -> set[RecordRef]:
    """Wish values onto records, in place of what was wished before; returns the records paused for too many writes.

    A version older than the one wished or confirmed last is passed over (G18), and so is, until something changes, what
    the vendor has refused. Where an earlier wish may have reached the vendor unconfirmed, its values are set again or
    set back, so that the record ends as this wish has it. Of a wish that waits the more urgent lane stays. `known` is
    what `confirmed` says of these records, where this transaction has read it already.
    """
    newest: dict[RecordRef, Wanted] = {}
    for wish in rows:
        if wish.ref not in newest or newest[wish.ref].version <= wish.version:
            newest[wish.ref] = wish
    known = confirmed(tx, newest) if known is None else known
    waiting = _waiting(tx, newest)
    inserts: list[tuple[Any, ...]] = []
    dropped, paused = [], set()
    for ref in sorted(newest):
        wish = newest[ref]
        target = known.get(ref, Confirmed({}))
        row = waiting.get(ref)
        if target.version > wish.version or (row is not None and row.version > wish.version):
            continue
        values = dict(wish.values)
        tried = row is not None and row.state == PENDING and row.attempts > 0
        if row is not None and tried:
            values = {name: target.written.get(name, "") for name in row.wanted} | values
        if row is not None and row.state == REFUSED and values == row.wanted:
            continue
        if not values:
            dropped += [row.id] if row is not None else []
            continue
        at = _not_before(target, now)
        if at > now:
            paused.add(ref)
        elif wish.version == target.version:
            at = _set_back_at(target, now)
        attempts, due_at = (row.attempts, max(at, row.due_at)) if row is not None and tried else (0, at)
        lane = min(row.lane, wish.lane) if row is not None and row.state == PENDING else wish.lane
        inserts.append((*ref, wish.person_id, values, wish.version, PENDING, attempts, due_at, int(lane)))
    tx.execute(delete(write_backs).where(among(tx, write_backs.c.id, sorted(dropped))))
    upsert(
        tx,
        write_backs,
        dict(zip((*RecordRef._fields, *_RENEWED), zip(*inserts, strict=True), strict=False)),
        key=["vendor", "object_type", "record_id"],
        change=lambda new: {name: new[name] for name in _RENEWED},
        only_if=lambda new: new.version >= write_backs.c.version,
    )
    return paused


def claim_writes(
    tx: Connection,
    vendor: str,
    *,
    limit: int,
    owner: str,
    lanes: Sequence[Lane] = tuple(Lane),
    lease_seconds: float = SECONDS,
    now: datetime | None = None,
) -> list[ClaimedWrite]:
    """Claim what waits to be written to one vendor: by lane, then longest due first. Commit before calling it."""
    now = now or database_now(tx)
    rows: list[Row[Any]] = []
    for lane in lanes:  # one after the other: so the index gives them in order, however many wait
        if limit > len(rows):
            rows += claim_rows(
                tx, write_backs,
                [write_backs.c.state == PENDING, write_backs.c.vendor == vendor, write_backs.c.lane == int(lane),
                 write_backs.c.due_at <= now],
                [write_backs.c.due_at, write_backs.c.id],
                limit=limit - len(rows), owner=owner, seconds=lease_seconds, now=now,
            )  # fmt: skip
    return [
        ClaimedWrite(_ref(row), row.wanted, row.version, row.lease_token, row.person_id, row.attempts, row.id)
        for row in rows
    ]


def renew(tx: Connection, writes: Sequence[ClaimedWrite], lease_seconds: float = SECONDS) -> set[int]:
    """Prolong claims; returns the ids of those still held."""
    return renew_rows(tx, write_backs, writes, lease_seconds)


def settle_written(tx: Connection, writes: Sequence[ClaimedWrite], now: datetime) -> set[int]:
    """The vendor confirmed these by name: note the values with the records and end the wishes.

    A wish renewed meanwhile stays, less what is true already. Returns the ids that were still held; for the others,
    whoever holds them now writes again.
    """
    known = confirmed(tx, {write.ref for write in writes})
    ids = held_ids(tx, write_backs, writes)
    waiting = {row.id: row for row in _waiting(tx, {write.ref for write in writes}).values()}
    ended, remaining, noted = [], [], []
    for write in sorted((write for write in writes if write.id in ids), key=lambda write: write.ref):
        before = known.get(write.ref, Confirmed({}))
        after = Confirmed(
            {**before.written, **write.values},
            max(before.version, write.version),
            (*before.times, now)[-WRITES_PER_HOUR:],
        )
        noted.append((write.ref, after))
        row = waiting[write.id]
        left = {name: text for name, text in row.wanted.items() if after.written.get(name) != text}
        if not left:
            ended.append(write.id)
        else:
            remaining.append(
                {"id": write.id, "wanted": left, "attempts": 0, "due_at": _not_before(after, now)} | UNHELD
            )
    _note_confirmed(tx, noted)
    tx.execute(delete(write_backs).where(among(tx, write_backs.c.id, ended)))
    update_each(tx, write_backs, remaining, key=["id"])
    return ids


def doubt(tx: Connection, writes: Sequence[ClaimedWrite]) -> set[int]:
    """These were sent by somebody who did not hold them any more, so the vendor may show an older value in place of a
    newer one (G18). Forget what it confirmed of them, so that it is set once more; returns the people to look at."""
    known = confirmed(tx, {write.ref for write in writes})
    noted = []
    for write in sorted(writes, key=lambda write: write.ref):
        before = known.get(write.ref)
        if before is not None:
            kept = {name: text for name, text in before.written.items() if name not in write.values}
            known[write.ref] = Confirmed(kept, max(0, before.version - 1), before.times)
            noted.append((write.ref, known[write.ref]))
    _note_confirmed(tx, noted)
    return {write.person_id for write in writes if write.ref in known}


def echoes(tx: Connection, shown: Mapping[RecordRef, Mapping[str, str]]) -> set[RecordRef]:
    """Of these records, those that show of our values only what we wrote: as confirmed, or under way right now.

    A vendor that tells of our own write, by event or as "recently modified", tells nothing new (G17). Events overtake
    answers, so a write whose answer is not in yet counts too.
    """
    known = confirmed(tx, shown)
    waiting = _waiting(tx, shown) if shown else {}
    found = set()
    for ref, values in shown.items():
        ours = known.get(ref, Confirmed({})).written
        row = waiting.get(ref)
        sent = row.wanted if row is not None and row.attempts else {}
        if all(text in (ours.get(name), sent.get(name)) for name, text in values.items()):
            found.add(ref)
    return found


def refuse_write(tx: Connection, vault: Vault, refused: Sequence[tuple[ClaimedWrite, str]], now: datetime) -> set[int]:
    """The vendor refuses these, for the reason given: to quarantine. Each is wished again once its values change.

    Returns the ids that were still held.
    """
    ids = held_ids(tx, write_backs, [write for write, _ in refused])
    for write, reason in refused:
        if write.id in ids:
            quarantine.put(
                tx, vault, f"write_back:{write.ref.vendor}", reason, to_json(write.values).encode(), now, write.ref.key
            )
            tx.execute(
                update(write_backs)
                .where(write_backs.c.id == write.id, write_backs.c.wanted == write.values)
                .values(state=REFUSED)
            )
    tx.execute(update(write_backs).where(among(tx, write_backs.c.id, sorted(ids))).values(UNHELD))
    return ids


def retry_write(tx: Connection, writes: Sequence[ClaimedWrite], at: datetime, *, blameless: bool = False) -> set[int]:
    """Try these again at `at`; returns the ids that were still held. `blameless`: earlier tries count as one, since
    they failed for no reason of theirs."""
    ids = held_ids(tx, write_backs, writes)
    tx.execute(
        update(write_backs)
        .where(among(tx, write_backs.c.id, sorted(ids)))
        .values(UNHELD | {"due_at": at} | ({"attempts": 1} if blameless else {}))
    )
    return ids


def again(tx: Connection, ref: RecordRef, now: datetime) -> bool:
    """Try a refused write once more (an operator replays it); False when none is refused."""
    return tx.execute(
        update(write_backs)
        .where(*_at(ref), write_backs.c.state == REFUSED)
        .values(state=PENDING, attempts=0, due_at=now)
    ).rowcount > 0  # fmt: skip


def drop_writes(tx: Connection, refs: Collection[RecordRef]) -> None:
    """Wish nothing more of these records: they are gone or moved."""
    ids = [row.id for row in _waiting(tx, refs).values()]
    tx.execute(delete(write_backs).where(among(tx, write_backs.c.id, ids)))


def pending_writes(tx: Connection, vendor: str, *, lanes: Sequence[Lane] = tuple(Lane)) -> int:
    """How many records wait to be written at one vendor, claimed ones included."""
    return tx.execute(
        select(func.count())
        .select_from(write_backs)
        .where(write_backs.c.state == PENDING, write_backs.c.vendor == vendor, write_backs.c.lane.in_(lanes))
    ).scalar_one()


def oldest_write(tx: Connection, vendors: Iterable[str]) -> datetime | None:
    """Since when the longest waiting write to one of these vendors is due; None when none is (reliability G14)."""
    found: list[datetime | None] = [
        tx.execute(
            select(func.min(write_backs.c.due_at)).where(
                write_backs.c.state == PENDING, write_backs.c.vendor == vendor, write_backs.c.lane == int(lane)
            )
        ).scalar()
        for vendor in vendors
        for lane in Lane  # each is a look at one end of the index, however many wait
    ]
    oldest = min((at for at in found if at is not None), default=None)
    return oldest if oldest is not None and oldest <= database_now(tx) else None


def _not_before(target: Confirmed, now: datetime) -> datetime:
    """When the record may next be written: at most so many writes in any hour."""
    if len(target.times) < WRITES_PER_HOUR:
        return now
    return max(now, target.times[-WRITES_PER_HOUR] + _HOUR)


def _set_back_at(target: Confirmed, now: datetime) -> datetime:
    """When a value that somebody else changed may be set back."""
    lately = [at for at in target.times if at > now - _HOUR]
    waits = max(0, len(lately) - 2)
    return max(now, lately[-1] + waits * REASSERTED_AFTER) if waits else now


def _grouped(refs: Collection[RecordRef]) -> Iterator[tuple[Table, str, str, dict[str, RecordRef]]]:
    """(table, vendor, object type, stored record id: reference) for each kind of record, in one order for all."""
    groups: dict[tuple[str, str], dict[str, RecordRef]] = defaultdict(dict)
    for ref in refs:
        groups[ref.vendor, ref.object_type][clean_key(ref.record_id)] = ref
    for (vendor, object_type), by_id in sorted(groups.items()):
        yield (members if object_type == MEMBER else records), vendor, object_type, by_id


def _record_id(table: Table) -> Any:
    return table.c.address if table is members else table.c.record_id


def on_the_way(tx: Connection, refs: Collection[RecordRef]) -> set[RecordRef]:
    """Of these records, those with a wish that has not reached the vendor yet. A look: nothing is locked."""
    return {ref for ref, row in _waiting(tx, refs, lock=False).items() if row.state == PENDING}


def _waiting(tx: Connection, refs: Collection[RecordRef], *, lock: bool = True) -> dict[RecordRef, Row[Any]]:
    """The wishes for these records, whatever their state; locked on PostgreSQL until the transaction ends, or not."""
    found = {}
    for _, vendor, object_type, by_id in _grouped(refs):
        query = select(write_backs).where(
            write_backs.c.vendor == vendor,
            write_backs.c.object_type == object_type,
            among(tx, write_backs.c.record_id, sorted(by_id)),
        )
        query = query.order_by(write_backs.c.id)
        rows = tx.execute(query.with_for_update() if lock else query)
        found.update({by_id[row.record_id]: row for row in rows})
    return found


def _note_confirmed(tx: Connection, noted: Sequence[tuple[RecordRef, Confirmed]]) -> None:
    rows: dict[str, list[dict[str, Any]]] = {records.name: [], members.name: []}
    for ref, after in noted:
        values = {
            "vendor": ref.vendor,
            "written": after.written,
            "written_version": after.version,
            "written_times": [to_micros(at) for at in after.times],
        }
        if ref.object_type == MEMBER:
            rows[members.name].append(values | {"address": ref.record_id})
        else:
            rows[records.name].append(values | {"object_type": ref.object_type, "record_id": ref.record_id})
    update_each(tx, records, rows[records.name], key=["vendor", "object_type", "record_id"])
    changed = ("written", "written_version", "written_times")
    upsert(
        tx,
        members,
        rows[members.name],
        key=["vendor", "address"],
        change=lambda new: {name: new[name] for name in changed},
    )


def _at(ref: RecordRef) -> tuple[Any, ...]:
    return (
        write_backs.c.vendor == ref.vendor,
        write_backs.c.object_type == ref.object_type,
        write_backs.c.record_id == ref.record_id,
    )


def _ref(row: Row[Any]) -> RecordRef:
    return RecordRef(row.vendor, row.object_type, row.record_id)
