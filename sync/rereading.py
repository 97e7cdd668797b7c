"""Records read again as they are now: what a webhook or a write tells of is a hint where to look (pattern 9)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from connectors.base import Crm, Outcome, Reading, Settled
from leadbridge import clock
from leadbridge.store import activities as activity_store
from leadbridge.store import due
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store
from leadbridge.types import Activity, Lead, RecordRef
from sync import identity
from sync.forget import without_forgotten


def reread(
    store: Store,
    crm: Crm,
    refs: Sequence[RecordRef],
    lane: due.Lane,
    merged: Mapping[RecordRef, Iterable[RecordRef]] | None = None,
) -> int:
    """Read these records as they are now, and mark the people they changed as due. Returns how many are due.

    What a webhook says is a hint; this is where it becomes true (reliability pattern 9). `merged` as in
    `identity.take_in`.
    """
    if not refs:
        return 0
    reading = crm.read_leads(refs)
    before = read_former_holders(store, crm, reading.found)
    now = clock.now()
    with store.writing() as tx:
        reading = of_the_known(tx, store, reading)
        counted = newly_counted(tx, crm, reading.found)
        changed = identity.take_in(tx, of_the_known(tx, store, before), now)
        changed |= identity.take_in(tx, reading, now, merged)
        changed |= activity_store.add_activities(tx, counted, now).people
        due.mark_due(tx, changed, now, lane)
    return len(changed)


def of_the_known(tx: Connection, store: Store, reading: Reading) -> Reading:
    """The reading without people who were forgotten."""
    return replace(reading, found=without_forgotten(tx, store, reading.found))


def newly_counted(tx: Connection, crm: Crm, leads: Sequence[Lead]) -> list[Activity]:
    """What the CRM counted since these leads were last read, in the transaction that stores where it stands now."""
    counting = [lead for lead in leads if lead.counters]
    before = lead_store.counters_of(tx, [lead.ref for lead in counting])
    return [one for lead in counting for one in crm.counted(lead, before.get(lead.ref, {}))]


def read_former_holders(store: Store, crm: Crm, leads: Sequence[Lead]) -> Reading:
    """Ask the CRM again about the records `identity.former_holders` has its doubts about, and those that raises."""
    found: dict[RecordRef, Lead] = {}
    gone: set[RecordRef] = set()
    moved: dict[RecordRef, RecordRef] = {}
    todo = list(leads)
    while todo:
        with store.reading() as tx:
            doubtful = [
                ref for ref in identity.former_holders(tx, todo) if ref not in gone | found.keys() | moved.keys()
            ]
        reading = crm.read_leads(doubtful) if doubtful else Reading(())
        todo = [lead for lead in reading.found if lead.ref not in found]
        found |= {lead.ref: lead for lead in todo}
        gone |= set(reading.gone)
        moved |= reading.moved
    return Reading(list(found.values()), sorted(gone), moved)


def moved_records(settled: Mapping[RecordRef, Settled]) -> list[RecordRef]:
    """Records to re-read because a write found the record merged into another."""
    return [row.moved_to for row in settled.values() if row.outcome is Outcome.MOVED and row.moved_to]
