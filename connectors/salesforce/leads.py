"""Reading people: everything, what changed, and single ones (vendors/salesforce.md, sections 2.3 and 3).

A changed account or deal does not touch its contacts' stamps, so these objects are walked in their own right and their
contacts read again. They come first in a round: what changes in them while people are read is found by the next one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connectors.base import Page, Progress, Reading
from connectors.salesforce.describe import CHECKBOX, FieldInfo, Objects
from connectors.salesforce.ids import long_id
from connectors.salesforce.mapping import (
    CONTACT,
    DEAL,
    INDIVIDUAL,
    LEAD,
    MERGED_INTO,
    OWNER,
    PERSON,
    PREFIXES,
    ROLE,
    Fields,
)
from connectors.salesforce.soql import Where
from connectors.salesforce.walk import Row, Stand, Walks, stand_in
from connectors.salesforce.wire import OPTIONAL, VENDOR
from connectors.watermark import instant_in
from leadbridge import clock, logs
from leadbridge.errors import FeatureMissing, NeedsOperator
from leadbridge.types import Lead, RecordRef

log = logs.logger(__name__)

DELETIONS_EVERY = timedelta(days=1)
"""How often the feed of deletions is asked; the recycle bin tells all but those purged from it within that time."""

LONGEST_CHAIN = 8
"""Merges of merges that are followed."""

MOST_BEHIND = 2000
"""People read at once because of one batch of events; a whole page of a query."""

ACCOUNT = "Account"
_DEAL_COLUMNS = ("IsClosed", "IsWon", "CloseDate")
_NOT_DELETED = Where("IsDeleted", "=", False)


@dataclass(slots=True)
class _Found:
    """What became of records: those that live on, and those that do not, or only in another."""

    rows: int = 0  # changed ones that told of them
    leads: list[Lead] = field(default_factory=list)
    gone: list[RecordRef] = field(default_factory=list)
    moved: dict[RecordRef, RecordRef] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)

    def page(self, progress: Progress) -> Page[Lead]:
        return Page(self.leads, progress, +self.skipped, self.gone)


class Leads:
    """Reads one org's people."""

    def __init__(self, objects: Objects, walks: Walks, fields: Fields, lookback: timedelta) -> None:
        self._objects = objects
        self._walks = walks
        self._fields = fields
        self._lookback = lookback

    # --- pulling -----------------------------------------------------------------------------------------------------

    def pull(self, progress: Progress | None, *, full: bool) -> Iterator[Page[Lead]]:
        """See `Crm.pull_leads`. A round that was interrupted is ended first, and then brought up to date."""
        phases = self._phases()
        names = [*phases, *map(_following, phases), *map(_deletions, self._fields.objects)]
        reached = {name: at for name in names if (at := instant_in(progress, f"{name}.at")) is not None}
        stand, phase = stand_in(progress), (progress or {}).get("phase", "")
        everything = (progress or {}).get("round") == "all"
        if stand is not None and phase in self._phases() and (everything or not full):
            yield from self._round(reached, full=everything, phase=phase, stand=stand)
            full = False
        yield from self._round(reached, full=full)

    def _phases(self) -> list[str]:
        """Objects walked in a round, in their order."""
        first = [ROLE, DEAL] if CONTACT in self._fields.objects else []
        return [INDIVIDUAL, *first, *([ACCOUNT] if self._fields.reads_accounts else []), *self._fields.objects]

    def _round(
        self, reached: dict[str, datetime], *, full: bool, phase: str = "", stand: Stand | None = None
    ) -> Iterator[Page[Lead]]:
        """All phases from `phase` on. `reached` grows with each that is over; until then a page tells where it is."""
        phases = self._phases()
        for name in phases[phases.index(phase) if phase else 0 :]:
            here = stand or self._start(name, reached, full=full)
            resumed, stand = stand is not None, None
            if here is None:
                continue
            people = name in self._fields.objects
            if people and here.low is None:
                reached[_deletions(name)] = here.covered
            try:
                yield from self._phase(name, here, reached, full=full, some=resumed)
            except FeatureMissing as missing:
                log.warning("not read", vendor=VENDOR, object=name, why=missing.problem)
                continue
            if people:
                yield from self._deletions(name, reached)

    def _start(self, name: str, reached: Mapping[str, datetime], *, full: bool) -> Stand | None:
        """Where a walk begins; None when the org or our user lacks the object."""
        at = None if full else reached.get(name)
        if at is not None:
            return Stand(reached.get(_following(name), at), at - self._lookback)
        try:
            return Stand(self._walks.covered(name, None)[0])
        except FeatureMissing as missing:
            log.warning("not read", vendor=VENDOR, object=name, why=missing.problem)
            return None

    def _phase(
        self, name: str, here: Stand, reached: dict[str, datetime], *, full: bool, some: bool
    ) -> Iterator[Page[Lead]]:
        """One walk to its end. `some`: rows were found before it was interrupted.

        A walk of changes that finds none is one call, and what nothing has changed in needs no later watermark. After
        one that finds some, the feed is asked for the next: what it then calls covered was read to its end only when
        the walk after it is over, so it is noted, and becomes the watermark there.
        """
        if here.low is None and name not in self._fields.objects:  # the first time, people bring what belongs to them
            reached[name] = here.covered
            return
        following = _following(name)
        for found, further in self._walk(name, here):
            some = some or found.rows > 0
            if further is not None:
                where = {"phase": name, **({"round": "all"} if full else {}), **further.progress()}
                yield found.page(_progress(reached, where))
                continue
            after = self._walks.covered(name, reached[name])[0] if here.low is not None and some else None
            reached.pop(following, None)
            reached |= {name: here.covered} | ({} if after is None else {following: after})
            if found.rows or name == self._phases()[-1]:  # the last tells how far all have come
                yield found.page(_progress(reached, {}))

    def _walk(self, name: str, stand: Stand) -> Iterator[tuple[_Found, Stand | None]]:
        if name not in self._fields.objects:
            yield from self._touched(name, stand)
            return
        columns = self._columns(name)
        read = self._walks.everything if stand.low is None else self._walks.pages
        for page in read("leads", name, columns, stand):
            yield replace(self._settled({name: page.rows}), rows=len(page.rows)), page.stand

    def _touched(self, name: str, stand: Stand) -> Iterator[tuple[_Found, Stand | None]]:
        """The people of accounts, deals, roles and individuals that changed."""
        columns = ["Id", "ContactId"] if name == ROLE else ["Id", "AccountId"] if self._persons(name) else ["Id"]
        operation = f"{OPTIONAL}{name}"
        for page in self._walks.pages(operation, name, columns, stand):
            for kind, rows in self._people_of(name, page.rows):
                yield self._settled({kind: rows}), stand
            stand = page.stand or stand
            yield _Found(len(page.rows)), page.stand

    def _people_of(self, name: str, changed: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
        ids = [row["Id"] for row in changed]
        if name in (ACCOUNT, INDIVIDUAL):
            for kind in self._fields.objects if name == INDIVIDUAL else [CONTACT]:
                for rows in self._walks.of("leads", kind, self._columns(kind), f"{name}Id", ids, _NOT_DELETED):
                    yield kind, rows
            return
        if name == DEAL:
            deals = changed
            roles = self._walks.of(f"{OPTIONAL}{ROLE}", ROLE, ["Id", "ContactId"], "OpportunityId", ids)
            changed = [row for rows in roles for row in rows]
            if self._persons(name):  # their deals need no role
                of = {row["AccountId"] for row in deals if "AccountId" in row}
                person = Where(PERSON, "=", True)
                columns = self._columns(CONTACT)
                for rows in self._walks.of("leads", CONTACT, columns, "AccountId", sorted(of), _NOT_DELETED, person):
                    yield CONTACT, rows
        people = sorted({row["ContactId"] for row in changed if "ContactId" in row})
        if people:
            yield CONTACT, self._rows(CONTACT, people)

    def _persons(self, name: str) -> bool:
        return name == DEAL and self._objects.has_person_accounts()

    def _deletions(self, kind: str, reached: dict[str, datetime]) -> Iterator[Page[Lead]]:
        """Rows deleted and purged from the bin since the day before, read again: one may have been restored."""
        name, now = _deletions(kind), clock.now()
        since = reached.setdefault(name, now)
        if now - since < DELETIONS_EVERY:
            return
        ids, all_of_them = self._walks.deleted(kind, since)
        if not all_of_them:
            log.warning("deletions may have been missed; every record is read again", vendor=VENDOR, object=kind)
        reached[name] = now
        reading = self.read([RecordRef(VENDOR, kind, one) for one in ids])
        yield Page(reading.found, _progress(reached, {}), gone=reading.gone, missed=not all_of_them)

    # --- single ones -------------------------------------------------------------------------------------------------

    def count(self, kind: str, since: datetime, before: datetime) -> int:
        """See `Crm.count`."""
        tests = [Where("CreatedDate", ">=", since), Where("CreatedDate", "<", before)]
        tests += [Where("IsConverted", "=", False)] if kind == LEAD else []
        return self._walks.number(f"count.{kind}", kind, *tests)

    def read(self, refs: Sequence[RecordRef]) -> Reading:
        """See `Crm.read_leads`. One query shows 400 records with their parents, and what was merged or deleted."""
        asked: dict[RecordRef, RecordRef] = {}
        for ref in refs:
            record_id = long_id(ref.record_id)
            fits = ref.object_type in self._fields.objects and record_id is not None
            if fits and record_id and record_id.startswith(PREFIXES[ref.object_type]):
                asked[ref] = ref._replace(record_id=record_id)
        by_kind = _by_kind(asked.values())
        found = self._settled({kind: self._rows(kind, ids) for kind, ids in by_kind.items()})
        known = {lead.ref for lead in found.leads}
        moved = {ref: found.moved[one] for ref, one in asked.items() if one in found.moved}
        return Reading(
            found.leads,
            [ref for ref in dict.fromkeys(refs) if ref not in moved and asked.get(ref) not in known],
            moved,
        )

    def behind(self, refs: Sequence[RecordRef]) -> list[RecordRef]:
        """See `Crm.people_behind`: of individuals, of accounts, of deals, and of roles, those just ended among them.

        Beyond `MOST_BEHIND` they are left to the pull, which reads them in pages.
        """
        asked = _by_kind(ref._replace(record_id=one) for ref in refs if (one := long_id(ref.record_id)) is not None)
        questions: list[tuple[str, str, str, list[str] | None]] = [
            (kind, "Id", "IndividualId", asked.get(INDIVIDUAL)) for kind in self._fields.objects
        ]
        if CONTACT in self._fields.objects:
            questions.append((ROLE, "ContactId", "OpportunityId", asked.get(DEAL)))
            questions.append((ROLE, "ContactId", "Id", asked.get(ROLE)))
        accounts = list(asked.get(ACCOUNT, ())) if self._fields.reads_accounts else []
        if CONTACT in self._fields.objects and asked.get(DEAL) and self._persons(DEAL):  # their deals need no role
            deals = self._walks.of(f"{OPTIONAL}{DEAL}", DEAL, ["AccountId"], "Id", asked[DEAL])
            accounts += [row["AccountId"] for rows in deals for row in rows if "AccountId" in row]
        questions.append((CONTACT, "Id", "AccountId", accounts))
        found: set[RecordRef] = set()
        for kind, person, by, ids in questions:
            operation = f"{OPTIONAL}{kind}" if kind == ROLE else "leads"
            of = CONTACT if kind == ROLE else kind
            try:
                for rows in self._walks.of(operation, kind, [person], by, ids or ()):
                    found.update(RecordRef(VENDOR, of, row[person]) for row in rows if person in row)
                    if len(found) > MOST_BEHIND:
                        break
            except FeatureMissing as missing:
                log.info("not read", vendor=VENDOR, object=kind, why=missing.problem)
        return sorted(found)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _rows(self, kind: str, ids: Sequence[str]) -> list[Row]:
        if not ids:
            return []
        return [row for rows in self._walks.of("leads", kind, self._columns(kind), "Id", ids) for row in rows]

    def _settled(self, rows: Mapping[str, Sequence[Row]]) -> _Found:
        """Rows as leads, those merged or converted followed to whom they are now."""
        found = _Found()
        live: dict[RecordRef, Row] = {}
        steps: dict[RecordRef, RecordRef | None] = {}  # a record that is no more, and where it went
        todo = {RecordRef(VENDOR, kind, row["Id"]): row for kind, several in rows.items() for row in several}
        for _ in range(LONGEST_CHAIN):
            for ref, row in todo.items():
                if _is_live(ref, row):
                    live[ref] = row
                else:
                    steps[ref] = self._successor(ref, row)
            unknown = {one for one in steps.values() if one is not None and one not in live and one not in steps}
            if not unknown:
                break
            read = {kind: self._rows(kind, ids) for kind, ids in _by_kind(unknown).items()}
            todo = {RecordRef(VENDOR, kind, row["Id"]): row for kind, several in read.items() for row in several}
            steps |= dict.fromkeys(unknown - todo.keys())
        former: dict[RecordRef, list[RecordRef]] = defaultdict(list)
        for ref in steps:
            end: RecordRef | None = ref
            for _ in range(LONGEST_CHAIN):
                end = steps.get(end, end) if end is not None else None
            if end in live and end is not None:
                former[end].append(ref)
                found.moved[ref] = end
            else:
                found.gone.append(ref)
        self._translate(live, former, found)
        return found

    def _translate(
        self, live: Mapping[RecordRef, Row], former: Mapping[RecordRef, list[RecordRef]], found: _Found
    ) -> None:
        now = clock.now()
        deals = self._deals([row for ref, row in live.items() if ref.object_type == CONTACT], found.skipped)
        for ref, row in live.items():
            lead = self._fields.lead(ref.object_type, row, deals.get(ref.record_id, ()), found.skipped, now)
            found.leads.append(replace(lead, aliases=tuple(sorted(former.get(ref, ())))))

    def _successor(self, ref: RecordRef, row: Row) -> RecordRef | None:
        """Where a record went: the winner of a merge, or the contact a lead became.

        The contact of a person account may name no winner itself; its account does.
        """
        if master := row.get("MasterRecordId") or row.get(MERGED_INTO):
            return ref._replace(record_id=master)
        contact = row.get("ConvertedContactId")
        return RecordRef(VENDOR, CONTACT, contact) if contact and CONTACT in self._fields.objects else None

    def _deals(self, contacts: Sequence[Row], skipped: Counter[str]) -> dict[str, list[Row]]:
        """The deals each contact has a role in, and all of a person account's; none where they cannot be read."""
        if not contacts:
            return {}
        found: dict[str, list[Row]] = defaultdict(list)
        operation = f"{OPTIONAL}{ROLE}"
        try:
            fields = self._objects.fields(DEAL, optional=True)
            names = [
                known.name for one in (*_DEAL_COLUMNS, *self._fields.of_deals) if (known := fields.get(one.lower()))
            ]
            columns = ["Id", "ContactId", "IsPrimary", *(f"{DEAL}.{name}" for name in dict.fromkeys(names))]
            ids = [row["Id"] for row in contacts]
            for rows in self._walks.of(operation, ROLE, columns, "ContactId", ids, _NOT_DELETED):
                for row in rows:
                    found[row["ContactId"]].append(row)
            persons = {row["AccountId"]: row["Id"] for row in contacts if row.get(PERSON) == "true"}
            own = ["Id", "AccountId", *dict.fromkeys(names)]
            for rows in self._walks.of(f"{OPTIONAL}{DEAL}", DEAL, own, "AccountId", sorted(persons), _NOT_DELETED):
                for row in rows:
                    found[persons[row["AccountId"]]].append({f"{DEAL}.{name}": text for name, text in row.items()})
        except FeatureMissing:
            skipped["deals cannot be read"] += len(contacts)
        return found

    def _columns(self, kind: str) -> list[str]:
        """Raises NeedsOperator while the consent of people cannot be seen: absent is not "may be mailed" (2.2)."""
        fields = self._objects.fields(kind)
        box = fields.get(self._fields.opt_out.lower())
        if box is None or box.type != CHECKBOX:
            if box is None:
                cure = "make it visible to leadbridge's user by field-level security, or name another as opt_out"
                problem = "is not there or hidden"
            else:
                cure = "name a checkbox as opt_out"
                problem = f"is no checkbox but of type {box.type}"
            told = f"{kind}.{self._fields.opt_out} {problem}, so nobody's consent is known; {cure}"
            raise NeedsOperator(VENDOR, f"describe.{kind}", told)
        parents: dict[str, Mapping[str, FieldInfo]] = {"Owner": OWNER}
        if "individualid" in fields:
            try:
                parents[INDIVIDUAL] = self._objects.fields(INDIVIDUAL, optional=True)
            except FeatureMissing:
                log.debug("not read", vendor=VENDOR, object=INDIVIDUAL)  # data protection is switched off in the org
        person = kind == CONTACT and PERSON.lower() in fields
        if person or (kind == CONTACT and self._fields.reads_accounts):
            parents[ACCOUNT] = self._objects.fields(ACCOUNT)
        if person:
            parents[f"{ACCOUNT}.MasterRecord"] = parents[ACCOUNT]
        return self._fields.columns(kind, fields, parents)


def _is_live(ref: RecordRef, row: Row) -> bool:
    return row.get("IsDeleted") != "true" and not (ref.object_type == LEAD and row.get("IsConverted") == "true")


def _by_kind(refs: Iterable[RecordRef]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for ref in sorted(set(refs)):
        found[ref.object_type].append(ref.record_id)
    return found


def _deletions(kind: str) -> str:
    return f"{kind}.deleted"


def _following(kind: str) -> str:
    return f"{kind}.following"


def _progress(reached: Mapping[str, datetime], where: Progress) -> Progress:
    return {**{f"{name}.at": at.isoformat() for name, at in reached.items()}, **where}
