"""Records of several systems to one person: by links the vendors state, and by canonical address.

A person may have many records and many addresses. Two records of one system are two people, unless that system says
it merged them: a CRM keeps addresses unique by itself, so an address that moved from one contact to another moved
between people. Where a CRM does not (`Lead.shares_address`: Salesforce keeps leads and contacts of one human side by
side), records that show one address at the same time are one person. An address alone makes no one of two people whom
another CRM keeps apart: the record goes over to the one whose address it shows. Whatever happens, the stricter consent
wins.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from connectors.base import Reading
from connectors.intake.mapping import VENDOR as INTAKE
from leadbridge import addresses
from leadbridge.store import history, outbox
from leadbridge.store import leads as lead_store
from leadbridge.store.leads import StoredRecord
from leadbridge.types import Lead, LifecycleStage, PersonId, RecordRef, Value, email_key


def absorb(tx: Connection, leads: Sequence[Lead], now: datetime, *, read_now: bool = False) -> set[PersonId]:
    """Store what the CRM says of these records; returns the people to be scored again.

    These are the ones whose scoring inputs changed, and the ones whose record shows other values of ours than the CRM
    confirmed: somebody edited them. Repeats and older versions change nothing (reliability G11). `read_now`: the leads
    answer a question for these very records, so that a record held for gone is back although it was not modified.
    """
    leads = _newest(leads)
    named = {alias for lead in leads for alias in lead.aliases}
    old = [lead for lead in leads if lead.ref in named]
    if 0 < len(old) < len(leads):
        # Records that others of these were merged from: first, so that the survivors find them known.
        survivors = [lead for lead in leads if lead not in old]
        return absorb(tx, old, now, read_now=read_now) | absorb(tx, survivors, now, read_now=read_now)
    if not leads:
        return set()
    whose = _Whose(tx, leads, now)
    person_of = whose.person_of
    gained = lead_store.link_keys(tx, whose.links())  # activities that waited for these keys
    edited = {person_of[ref.key] for ref in _edited(tx, leads, whose.held)}
    lead_store.save_records(tx, [(person_of[lead.ref.key], lead) for lead in leads], now, read_now=read_now)
    _bury(tx, {alias: lead for lead in leads for alias in lead.aliases}, person_of, now)
    changed = reunite(tx, {*person_of.values(), *whose.left}, now) | gained | edited | whose.left
    history.bring(tx, [(person_of[one.ref.key], one.past, one.ref not in whose.held) for one in leads], now)
    return changed


class _Whose:
    """Whose these records are. What they show of people, that two are one or that one has gone over to another, is
    stored as it is found; the records and their keys are left to the caller."""

    person_of: dict[str, PersonId]  # key of a record among these: its person
    held: Mapping[RecordRef, StoredRecord]  # what was stored before of anybody who may be concerned
    left: set[PersonId]  # whom a record left for another, or joined

    def __init__(self, tx: Connection, leads: Sequence[Lead], now: datetime) -> None:
        self._tx, self._leads, self._now = tx, leads, now
        self._read = {lead.ref for lead in leads}
        keys = {key for lead in leads for key in (*_ids(lead), *_address(lead), *_others(lead))}
        self._owners = lead_store.people_by_key(tx, keys)
        self._records = lead_store.records_of(tx, sorted(set(self._owners.values())), gone=True)
        self.held = {record.ref: record for kept in self._records.values() for record in kept}
        self.person_of, self.left = {}, set()
        strangers = []
        for together in _sharing(leads, self.held):
            if (home := self._home(together)) is None:
                strangers.append(together)
                continue
            there = {record.ref for record in self._records.get(home, ())}
            news = [_as_stored(one, home) for one in together if one.ref not in there]
            self._records[home] = [*self._records.get(home, ()), *news]
            self.person_of.update((one.ref.key, home) for one in together)
        for together, person in zip(strangers, lead_store.new_people(tx, len(strangers), now), strict=True):
            self.person_of.update((one.ref.key, person) for one in together)

    def _home(self, together: Sequence[Lead]) -> PersonId | None:
        """The person these records, which are one person's, belong to; None for a stranger."""
        for one in together:
            if stated := {self._owners[key] for key in _ids(one) if key in self._owners}:
                self._unite(stated)
        known = {self._owners[key] for one in together for key in _ids(one) if key in self._owners}
        found = _owner_by_address(
            together[0], self._owners, self._records, self._read, self.held, stranger=not known
        )  # fmt: skip
        everybody = known if found is None else known | {found}
        if not everybody:
            return None
        if not _kept_apart(everybody, self._records, together[0].ref.vendor):
            return self._unite(everybody)
        home = min(known) if found is None else found
        self._go_over(together, everybody - {home}, home)
        self.left |= everybody
        return home

    def _unite(self, people: Collection[PersonId]) -> PersonId:
        keep, *merged = sorted(people)
        for lose in merged:
            lead_store.merge_people(self._tx, keep, lose, self._now)
            self._records[keep] = [*self._records.get(keep, ()), *self._records.pop(lose, ())]
            for persons in (self._owners, self.person_of):
                persons.update({key: keep for key, person in persons.items() if person == lose})
            self.left = {keep if person == lose else person for person in self.left}
        return keep

    def _go_over(self, together: Sequence[Lead], gone_over: Collection[PersonId], home: PersonId) -> None:
        keys = {key for one in together for key in _ids(one)}
        lead_store.go_over(self._tx, gone_over, home, keys, self._now)
        moved = {one.ref for one in together}
        for person in gone_over:
            self._records[person] = [one for one in self._records.get(person, ()) if one.ref not in moved]

    def links(self) -> dict[str, PersonId]:
        """The person each of the records' keys leads to from now on."""
        links = {key: self.person_of[lead.ref.key] for lead in self._leads for key in _ids(lead)}
        for lead in sorted(self._leads, key=lambda lead: lead.modified_at):
            for key in _address(lead):
                others = self._records.get(self._owners[key], ()) if key in self._owners else ()
                if key not in self._owners or not _outdated(lead, self.held.get(lead.ref), others):
                    links[key] = self.person_of[lead.ref.key]
        for lead in self._leads:  # who leaves under a second address leaves whole (G20); nobody's first one is taken
            for key in _others(lead):
                if key not in self._owners:
                    links.setdefault(key, self.person_of[lead.ref.key])
        return links


def take_in(
    tx: Connection,
    reading: Reading,
    now: datetime,
    merged: Mapping[RecordRef, Iterable[RecordRef]] | None = None,
) -> set[PersonId]:
    """Store the answer to "read these records": what was found, what is gone, what moved; returns as `absorb`.

    `merged` names what surviving records were made of, which they may not list (vendors/hubspot.md 5.3).
    """
    former: dict[RecordRef, set[RecordRef]] = {new: set(old) for new, old in (merged or {}).items()}
    for old, new in reading.moved.items():
        # Merged twice over: what the one in the middle was made of belongs to the last.
        former.setdefault(new, set()).update({old} | former.get(old, set()))
    found = []
    for lead in reading.found:
        more = sorted(former.get(lead.ref, set()) - {lead.ref})
        found.append(replace(lead, aliases=tuple(dict.fromkeys((*lead.aliases, *more)))))
    changed = absorb(tx, found, now, read_now=True)
    return changed | retire(tx, reading.gone, now)


def retire(tx: Connection, gone: Iterable[RecordRef], now: datetime) -> set[PersonId]:
    """These records are no more: their people live on in what is left. Returns as `absorb`."""
    return reunite(tx, lead_store.retire_records(tx, gone, now), now)


def former_holders(tx: Connection, leads: Sequence[Lead]) -> list[RecordRef]:
    """Records that, as far as we know, still have the address of a record that does not belong to them.

    Where a CRM keeps addresses unique and the record is new to us, each of them was deleted, merged or given another
    address, and we were not told; where records share addresses, it may have been. Read them again first, or somebody
    deleted and imported anew would be taken for two people and contacted twice, and somebody whose address was handed
    on for the one who has it now (reliability G11, G19).
    """
    addressed = {key: lead for lead in leads for key in _address(lead)}
    owners = lead_store.people_by_key(tx, {lead.ref.key for lead in leads} | set(addressed))
    suspects = {
        key: lead
        for key, lead in addressed.items()
        if key in owners
        and (owners.get(lead.ref.key) != owners[key] if lead.shares_address else lead.ref.key not in owners)
    }
    records = lead_store.records_of(tx, sorted({owners[key] for key in suspects}))
    read = {lead.ref for lead in leads}
    return sorted(
        {
            record.ref
            for key, lead in suspects.items()
            for record in records.get(owners[key], ())
            if _same_system(record, lead) and addresses.canonical(record.email) == addresses.canonical(lead.email)
        }
        - read
    )


def reunite(tx: Connection, people: Iterable[PersonId], now: datetime) -> set[PersonId]:
    """Work out these people's united attributes from their records; return those whose inputs changed."""
    ids = sorted(set(people))
    records = lead_store.records_of(tx, ids)
    return lead_store.save_people(tx, [unite(person, records.get(person, ())) for person in ids], now)


def unite(person: PersonId, records: Sequence[StoredRecord]) -> lead_store.PersonRow:
    """One person from the records they live in: the newest known value of each attribute, the strictest consent."""
    attributes: dict[str, Value] = {}
    email: str | None = None
    # What people or trackers say of themselves fills what no CRM knows, and overrides nothing.
    order = sorted(records, key=lambda r: (r.ref.vendor != INTAKE, r.values_at or r.modified_at, r.ref), reverse=True)
    for record in order:
        email = email or record.email
        for name, value in record.attributes.items():
            if attributes.get(name) is None:
                attributes[name] = value
    attributes = _furthest(attributes, records)
    return lead_store.PersonRow(
        id=person,
        email=email,
        attributes=attributes,
        opted_out=any(record.opted_out for record in records),
        lifecycle_stage=_text(attributes.get("lifecycle_stage")),
        created_at=min((record.created_at for record in records if record.created_at), default=None),
        valid_from=max((record.modified_at for record in records), default=None),
    )


def _furthest(attributes: dict[str, Value], records: Sequence[StoredRecord]) -> dict[str, Value]:
    """Of several records the stage furthest on is the person's: a customer is one although a lead was made anew."""
    known = {stage.value: stage.rank for stage in LifecycleStage}
    stages = [text for one in records if (text := _text(one.attributes.get("lifecycle_stage"))) in known]
    if len(stages) < 2:
        return attributes
    return attributes | {"lifecycle_stage": max(stages, key=lambda stage: known[stage or ""])}


def _bury(tx: Connection, merged: Mapping[RecordRef, Lead], person_of: Mapping[str, PersonId], now: datetime) -> None:
    """Records merged away never come back: whatever is still read of them is older than the merge, and is kept so."""
    if not merged:
        return
    people = {person_of[lead.ref.key] for lead in merged.values()}
    known = {record.ref: record for kept in lead_store.records_of(tx, people, gone=True).values() for record in kept}
    graves = []
    for ref, survivor in merged.items():
        old = known.get(ref)
        if old is None:
            last = Lead(ref, None, {}, survivor.modified_at)
        elif old.gone_at is None:
            at = max(old.modified_at, survivor.modified_at)
            last = Lead(ref, old.email, old.attributes, at, old.created_at, old.opted_out, old.written)
        else:
            continue
        graves.append((person_of[survivor.ref.key], last))
    lead_store.save_records(tx, graves, now)
    lead_store.retire_records(tx, merged, now)


def _edited(tx: Connection, leads: Sequence[Lead], stored: Mapping[RecordRef, StoredRecord]) -> set[RecordRef]:
    """Which newer versions show other values of ours than we wrote?"""
    shown: dict[RecordRef, dict[str, str]] = {}
    for lead in leads:
        before = stored.get(lead.ref)
        if before is None or lead.modified_at <= before.modified_at:
            continue
        names = lead.written.keys() | before.written.keys()
        other = {name: text for name in names if (text := lead.written.get(name, "")) != before.written.get(name, "")}
        if other:
            shown[lead.ref] = other
    return shown.keys() - outbox.echoes(tx, shown)


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None


def _newest(leads: Sequence[Lead]) -> list[Lead]:
    """One lead per record: a page may hold a record twice."""
    found: dict[str, Lead] = {}
    for lead in leads:
        seen = found.get(lead.ref.key)
        if seen is None or lead.modified_at >= seen.modified_at:
            found[lead.ref.key] = lead
    return list(found.values())


def _ids(lead: Lead) -> list[str]:
    return [lead.ref.key, *(alias.key for alias in lead.aliases)]


def _address(lead: Lead) -> list[str]:
    canonical = addresses.canonical(lead.email)
    return [email_key(canonical)] if canonical else []


def _others(lead: Lead) -> list[str]:
    return [email_key(canonical) for one in lead.other_emails if (canonical := addresses.canonical(one))]


def _same_system(record: StoredRecord, lead: Lead) -> bool:
    return record.gone_at is None and record.ref.vendor == lead.ref.vendor and record.ref != lead.ref


def _outdated(lead: Lead, stored: StoredRecord | None, others: Sequence[StoredRecord]) -> bool:
    """Has the address moved on since this version: does a newer one of the record, or of its owner's, say so?"""
    address = addresses.canonical(lead.email)
    return (stored is not None and stored.modified_at > lead.modified_at) or any(
        record.ref != lead.ref
        and record.gone_at is None
        and record.modified_at > lead.modified_at
        and addresses.canonical(record.email) == address
        for record in others
    )


def _sharing(leads: Sequence[Lead], held: Mapping[RecordRef, StoredRecord]) -> list[list[Lead]]:
    """The records in groups that are one person each: those of one address, where their CRM has several under one.

    A version older than the one we have says nothing about who shares an address now, and stands alone.
    """
    found: dict[str, list[Lead]] = {}
    for lead in leads:
        shares = lead.shares_address and not _stale(lead, held)
        key = next(iter(_address(lead)), "") if shares else ""
        found.setdefault(key or lead.ref.key, []).append(lead)
    return list(found.values())


def _stale(lead: Lead, held: Mapping[RecordRef, StoredRecord]) -> bool:
    return lead.ref in held and lead.modified_at < held[lead.ref].modified_at


def _owner_by_address(
    lead: Lead,
    owners: Mapping[str, PersonId],
    records: Mapping[PersonId, Sequence[StoredRecord]],
    read: Collection[RecordRef],
    held: Mapping[RecordRef, StoredRecord],
    *,
    stranger: bool,
) -> PersonId | None:
    """The person this record joins by address: for a stranger, one without another live record in the same system.

    Where records share addresses, also one with a live record that shows the address now (those of `read` speak for
    themselves); where they do not, one whom another CRM shows with it. Who had it once and has another is somebody
    else: addresses are handed on.
    """
    person = next((owners[key] for key in _address(lead) if key in owners), None)
    if person is None:
        return None
    others = records.get(person, ())
    ours = any(_same_system(record, lead) for record in others)
    if not _stale(lead, held):
        address = addresses.canonical(lead.email)
        live = (record for record in others if record.gone_at is None and record.ref not in read)
        shown = {record.ref.vendor for record in live if addresses.canonical(record.email) == address}
        if shown and (lead.shares_address or (not ours and shown != {INTAKE})):
            return person
    return person if stranger and not ours else None


def _kept_apart(people: Collection[PersonId], records: Mapping[PersonId, Sequence[StoredRecord]], vendor: str) -> bool:
    """Are there two of them of whom one other CRM has records at this time?"""
    systems = [
        {r.ref.vendor for r in records.get(person, ()) if r.gone_at is None} - {vendor, INTAKE} for person in people
    ]
    return sum(map(len, systems)) > len(set().union(*systems))


def _as_stored(lead: Lead, person: PersonId) -> StoredRecord:
    return StoredRecord(lead.ref, person, lead.email, lead.attributes, lead.opted_out, lead.modified_at)
