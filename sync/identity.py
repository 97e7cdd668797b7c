"""Records of several systems to one person: by links the vendors state, and by canonical address.

A person may have many records and many addresses. Two records of one system are two people, unless that system says
it merged them: a CRM keeps addresses unique by itself, so an address that moved from one contact to another moved
between people. Whatever happens, the stricter consent wins.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from leadbridge import addresses
from leadbridge.store import leads as lead_store
from leadbridge.types import Lead, PersonId, Value, email_key


def absorb(tx: Connection, leads: Sequence[Lead], now: datetime) -> set[PersonId]:
    """Store what the CRM says of these records and return the people whose scoring inputs changed by it.

    Repeats and older versions change nothing (reliability G11).
    """
    leads = _newest(leads)
    if not leads:
        return set()
    keys = {key for lead in leads for key in _keys(lead)}
    owners = lead_store.people_by_key(tx, keys)
    records = lead_store.records_of(tx, sorted(set(owners.values())))
    person_of: dict[str, PersonId] = {}  # record key of a lead: its person
    strangers: list[Lead] = []
    for lead in leads:
        known = [owners[key] for key in (lead.ref.key, *(alias.key for alias in lead.aliases)) if key in owners]
        if not known and (by_address := _owner_by_address(lead, owners, records)) is not None:
            known = [by_address]
        if not known:
            strangers.append(lead)
            continue
        keep, *merged = sorted(set(known))
        for lose in merged:
            lead_store.merge_people(tx, keep, lose, now)
            owners = {key: keep if person == lose else person for key, person in owners.items()}
            person_of = {key: keep if person == lose else person for key, person in person_of.items()}
        person_of[lead.ref.key] = keep
    person_of.update(
        zip((lead.ref.key for lead in strangers), lead_store.new_people(tx, len(strangers), now), strict=True)
    )
    links = {key: person_of[lead.ref.key] for lead in leads for key in _keys(lead)}
    gained = lead_store.link_keys(tx, links)  # activities that waited for these keys
    touched = lead_store.save_records(tx, [(person_of[lead.ref.key], lead) for lead in leads], now)
    for lead in leads:
        if lead.aliases:
            lead_store.retire_records(tx, lead.aliases, now)
    return reunite(tx, touched | set(person_of.values()), now) | gained


def reunite(tx: Connection, people: Iterable[PersonId], now: datetime) -> set[PersonId]:
    """Work out these people's united attributes from their records; return those whose inputs changed."""
    ids = sorted(set(people))
    records = lead_store.records_of(tx, ids)
    return lead_store.save_people(tx, [unite(person, records.get(person, ())) for person in ids], now)


def unite(person: PersonId, records: Sequence[lead_store.StoredRecord]) -> lead_store.PersonRow:
    """One person from the records they live in: the newest known value of each attribute, the strictest consent."""
    attributes: dict[str, Value] = {}
    email: str | None = None
    for record in sorted(records, key=lambda r: (r.modified_at, r.ref), reverse=True):
        email = email or record.email
        for name, value in record.attributes.items():
            if attributes.get(name) is None:
                attributes[name] = value
    return lead_store.PersonRow(
        id=person,
        email=email,
        attributes=attributes,
        opted_out=any(record.opted_out for record in records),
        lifecycle_stage=_text(attributes.get("lifecycle_stage")),
        created_at=min((record.created_at for record in records if record.created_at), default=None),
    )


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


def _keys(lead: Lead) -> list[str]:
    canonical = addresses.canonical(lead.email)
    return [lead.ref.key, *(alias.key for alias in lead.aliases), *([email_key(canonical)] if canonical else [])]


def _owner_by_address(
    lead: Lead, owners: Mapping[str, PersonId], records: Mapping[PersonId, Sequence[lead_store.StoredRecord]]
) -> PersonId | None:
    """The person this unknown record joins by address: one who has no other live record in the same system."""
    canonical = addresses.canonical(lead.email)
    person = owners.get(email_key(canonical)) if canonical else None
    if person is None:
        return None
    same_system = any(
        record.ref.vendor == lead.ref.vendor and record.ref != lead.ref for record in records.get(person, ())
    )
    return None if same_system else person
