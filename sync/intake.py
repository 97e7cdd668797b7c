"""Events of trackers to people and what they did (docs/intake.md).

Who somebody is follows from what the site says: a user id and an address it names together are one person, a browser's
anonymous id belongs to the first person it is named with (others may sit at it later). Two people whom CRMs hold as two
are never made one by a tracker. Nothing here makes anybody contactable: a tracker can only add facts and take leave.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from connectors.intake.mapping import VENDOR, Said, Wanted, said
from leadbridge import clock, logs
from leadbridge.errors import LeadbridgeError
from leadbridge.metrics import INTAKE_LEFT_OUT, VENDOR_WORDS
from leadbridge.store import activities, due, forgetting, inbox, suppressions
from leadbridge.store import leads as lead_store
from leadbridge.store.columns import from_json
from leadbridge.store.engine import Store
from leadbridge.store.leads import StoredRecord
from leadbridge.store.text import clean_key
from leadbridge.types import ActivityKind, Lead, PersonId, RecordRef
from sync import identity

log = logs.logger(__name__)

AT_ONCE = 250
"""Events worked in one transaction: so few that the door's next commit is not kept waiting."""


@dataclass(slots=True)
class Taken:
    """What the events led to."""

    done: int = 0
    due: int = 0  # people to be scored again
    left: int = 0  # people suppressed
    failed: int = 0  # events now in quarantine


def work(store: Store, rows: Sequence[inbox.InboxEvent], wanted: Wanted) -> Taken:
    """Work claimed events of the intake. What cannot be worked is halved until the bad event stands alone (G8)."""
    taken = Taken()
    for start in range(0, len(rows), AT_ONCE):
        _work(store, rows[start : start + AT_ONCE], wanted, taken)
    return taken


def _work(store: Store, rows: Sequence[inbox.InboxEvent], wanted: Wanted, taken: Taken) -> None:
    try:
        with store.writing() as tx:
            mine = inbox.done(tx, rows, clock.now())
            told = [said(from_json(row.body.decode()), row.key, wanted) for row in rows if row.id in mine]
            changed, left = take_in(tx, store, told, clock.now())
            due.mark_due(tx, changed, clock.now(), due.Lane.HOT)
    except LeadbridgeError:
        raise  # the store: nothing is the events' fault
    except Exception as bug:
        log.exception("events cannot be worked", vendor=VENDOR, events=len(rows))
        if len(rows) == 1:
            with store.writing() as tx:
                inbox.fail(tx, store.vault, rows[0], type(bug).__name__, clock.now())
            taken.failed += 1
            return
        middle = len(rows) // 2
        _work(store, rows[:middle], wanted, taken)
        _work(store, rows[middle:], wanted, taken)
        return
    taken.done += len(mine)
    taken.due += len(changed)
    taken.left += left
    if unknown := sum(one.activity is not None and one.activity.kind is ActivityKind.OTHER for one in told):
        VENDOR_WORDS.add(unknown, vendor=VENDOR, source="events")


def take_in(tx: Connection, store: Store, told: Sequence[Said], now: datetime) -> tuple[set[PersonId], int]:
    """Store what the events say; returns who is to be scored again, and how many people left.

    Of somebody who was forgotten nothing is stored, and nothing of an event whose sender lacks consent.
    """
    heard = sorted(_heard(tx, store, told), key=lambda one: one.at)
    people = _People.of(tx, heard)
    for one in heard:
        if one.identifies:
            people.identify(one)
    changed = people.save(tx, [one for one in heard if one.identifies and not one.objects], now)
    added = activities.add_activities(tx, [one.activity for one in heard if one.activity is not None], now)
    return changed | added.people, _let_go(tx, store, heard, now)


def _heard(tx: Connection, store: Store, told: Sequence[Said]) -> Iterator[Said]:
    """The events that may be stored."""
    keys = {id(one): {key for key in (one.user, one.anonymous, one.address, *one.previous) if key} for one in told}
    gone = forgetting.known_forgotten(tx, store.vault, set().union(*keys.values()))
    for one in told:
        if keys[id(one)] & gone:
            INTAKE_LEFT_OUT.add(reason="forgotten")
        elif one.subject is None:
            INTAKE_LEFT_OUT.add(reason="nobody")
        else:
            if one.objects:
                INTAKE_LEFT_OUT.add(reason="no_consent")
            if one.unreadable:
                INTAKE_LEFT_OUT.add(one.unreadable, reason="unreadable_trait")
            yield one


def _let_go(tx: Connection, store: Store, heard: Sequence[Said], now: datetime) -> int:
    """Suppress who left by the word of another tool, with every address of theirs, now or once it is known whose name
    that is. A browser's word counts where it says nothing else: others may sit at it."""
    named = {key for one in heard if one.identifies for key in (one.user, one.anonymous, *one.previous) if key}
    rows = suppressions.left_by(tx, store.vault, named)  # left under a name that nobody had by then
    for one in heard:
        if one.leaves is None:
            continue
        keys = [key for key in (one.user, one.address) if key] or [key for key in (one.anonymous,) if key]
        rows += [(key, one.leaves, VENDOR, one.at) for key in keys]
    return len(suppressions.suppress_keys(tx, store.vault, rows, now)) if rows else 0


@dataclass(slots=True)
class _People:
    """Whose the keys of one batch are, before and, as events are read, after it. New people have negative ids."""

    owners: dict[str, PersonId]
    records: dict[PersonId, list[StoredRecord]]
    linked: dict[str, PersonId] = field(default_factory=dict)
    merged: dict[PersonId, PersonId] = field(default_factory=dict)  # lost: kept
    new: int = 0

    @classmethod
    def of(cls, tx: Connection, heard: Sequence[Said]) -> "_People":
        keys = {key for one in heard for key in (one.user, one.anonymous, one.address, *one.previous) if key}
        owners = lead_store.people_by_key(tx, keys)
        return cls(owners, lead_store.records_of(tx, set(owners.values())))

    def identify(self, one: Said) -> None:
        """The user id and the address of an event are one person, and so is what an alias names."""
        old = next((key for key in one.previous if key in self.owners), None)
        keys = [key for key in (one.user, one.address, old) if key]
        if not keys:
            return  # a browser without a name
        known = list(dict.fromkeys(self.owners[key] for key in keys if key in self.owners))
        person = self._one(known) if known else self._another()
        self._link(person, [key for key in (*keys, one.anonymous, *one.previous) if key and key not in self.owners])

    def save(self, tx: Connection, identities: Sequence[Said], now: datetime) -> set[PersonId]:
        """Make, merge and link people, and keep what they said of themselves."""
        made = dict(zip(range(-1, -self.new - 1, -1), lead_store.new_people(tx, self.new, now), strict=True))
        for lose, keep in self.merged.items():
            if lose > 0:
                lead_store.merge_people(tx, made.get(keep, keep), lose, now)
        self.owners = {key: made.get(person, person) for key, person in self.owners.items()}
        self.records = {made.get(person, person): kept for person, kept in self.records.items()}
        gained = lead_store.link_keys(tx, {key: self.owners[key] for key in self.linked})
        leads = self._leads(identities)
        lead_store.save_records(tx, leads, now)
        touched = {person for person, _ in leads} | {made.get(keep, keep) for keep in self.merged.values()}
        return identity.reunite(tx, touched, now) | gained

    def _one(self, known: Sequence[PersonId]) -> PersonId:
        """Make these people one, as far as that is safe; the first is the one that is meant."""
        first = known[0]
        for other in known[1:]:
            if self._in_crm(first) and self._in_crm(other):
                log.warning("a tracker names two people of the CRM as one", people=[first, other])
                continue
            keep, lose = (other, first) if self._in_crm(other) or first < 0 < other else (first, other)
            self.merged[lose] = keep
            self.merged = {old: keep if new == lose else new for old, new in self.merged.items()}
            self.owners = {key: keep if person == lose else person for key, person in self.owners.items()}
            self.records[keep] = [*self.records.get(keep, ()), *self.records.pop(lose, ())]
            first = keep
        return first

    def _another(self) -> PersonId:
        self.new += 1
        return -self.new

    def _link(self, person: PersonId, keys: Collection[str]) -> None:
        for key in keys:
            self.owners[key] = self.linked[key] = person

    def _in_crm(self, person: PersonId) -> bool:
        return any(record.ref.vendor != VENDOR for record in self.records.get(person, ()))

    def _leads(self, identities: Sequence[Said]) -> list[tuple[PersonId, Lead]]:
        """One record for each user (or address without one), with the newest of each trait."""
        held = {record.ref: record for kept in self.records.values() for record in kept}
        found: dict[RecordRef, tuple[PersonId, Lead]] = {}
        for one in identities:
            key = one.user or one.address
            if key is None or key not in self.owners:
                continue
            ref = RecordRef(VENDOR, *_place(key))
            before: StoredRecord | Lead | None = found[ref][1] if ref in found else held.get(ref)
            lead = Lead(ref, one.email if one.address else None, dict(one.traits), one.at)
            found[ref] = self.owners[key], _joined(before, lead)
        return list(found.values())


def _place(key: str) -> tuple[str, str]:
    """Object type and id of the record that holds what was said under this person key."""
    kind, _, rest = key.partition(":")
    return ("email", rest) if kind == "email" else ("user", clean_key(rest.partition(":")[2]))


def _joined(before: StoredRecord | Lead | None, lead: Lead) -> Lead:
    """A call names some traits; the others stay as they were. Of one trait the newest counts."""
    if before is None:
        return lead
    newest = lead.modified_at >= before.modified_at
    older, newer = (before.attributes, lead.attributes) if newest else (lead.attributes, before.attributes)
    email = (lead.email or before.email) if newest else (before.email or lead.email)
    return replace(
        lead, email=email, attributes={**older, **newer}, modified_at=max(lead.modified_at, before.modified_at)
    )
