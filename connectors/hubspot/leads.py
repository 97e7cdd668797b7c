"""Reading contacts: everything, what changed, and single ones (vendors/hubspot.md sections 5 and 6)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from connectors.base import Page, Progress, Reading
from connectors.batches import in_batches
from connectors.hubspot.auth import Api
from connectors.hubspot.mapping import Fields, contact_ref, modified_in
from connectors.hubspot.search import changed
from connectors.hubspot.wire import VENDOR, BatchAnswer, Listing, Record, Refused, Shape, row
from connectors.watermark import Walk, progress_of, walk_in, watermark_in
from leadbridge import clock
from leadbridge.errors import Unknown
from leadbridge.types import Lead

BATCH, HISTORY_BATCH = 100, 50
"""Records one read gives, without and with the history of their properties (section 5.1)."""

LONGEST_QUERY = 2000
"""Characters of a query we dare to send: 5,116 were seen to pass, others met 414 earlier (section 5.1)."""

CREATED = "createdate"
MODIFIED = "lastmodifieddate"  # contacts only; every other type has hs_lastmodifieddate


class Counted(Shape):
    """How many records a search found."""

    total: int


@dataclass(slots=True)
class _Batch:
    """What batch reads found. `gone` holds ids HubSpot says it does not have, merged ones among them."""

    records: dict[str, Record] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


class Leads:
    """Reads one account's contacts."""

    def __init__(self, api: Api, fields: Fields, lookback: timedelta, past: timedelta | None = None) -> None:
        """`past` is how far back a reading of everything asks for what properties were before; None: not at all."""
        self._api = api
        self._fields = fields
        self._lookback = lookback
        self._past = past

    # --- pulling -----------------------------------------------------------------------------------------------------

    def pull(self, progress: Progress | None, *, full: bool) -> Iterator[Page[Lead]]:
        """See `Crm.pull_leads`. A walk that was interrupted is ended first, and then brought up to date."""
        walk = walk_in(progress)
        if walk is not None and walk.low is not None and full:
            walk = None
        watermark = watermark_in(progress)
        if walk is not None:
            for page in self._go(walk):
                progress = page.progress
                yield page
            watermark = watermark_in(progress)
        elif full or watermark.at is None:
            yield from self._go(Walk(clock.now(), watermark=watermark, there=self._api.vendor_now()))
            return
        if watermark.at is not None:
            low, there = watermark.at - self._lookback, self._api.vendor_now()
            yield from self._go(Walk(clock.now(), low, watermark=watermark, there=there))

    def _go(self, walk: Walk) -> Iterator[Page[Lead]]:
        return self._everything(walk) if walk.low is None else self._changes(walk)

    def _everything(self, walk: Walk) -> Iterator[Page[Lead]]:
        """The list endpoint, page by page; a search would reach 10,000 only."""
        query, complete = self._list_query()
        while True:
            after = [("after", walk.last)] if walk.last else []
            listing = self._api.ask("contacts.list", Listing, query=[*query, *after])
            skipped: Counter[str] = Counter()
            records = [record for raw in listing.results if (record := row(Record, raw)) is not None]
            skipped["unreadable record"] += len(listing.results) - len(records)
            if not complete:
                records = self._details(records, skipped, past=True)
            leads = self._leads(records, skipped, past=True)
            walk = walk.after(listing.after or "", _instants(records))
            if listing.after is None:
                yield Page(leads, progress_of(walk.finished(clock.now())), +skipped)
                return
            yield Page(leads, walk.progress(), +skipped)

    def _list_query(self) -> tuple[list[tuple[str, str]], bool]:
        """The query of a list page, and whether it asks for everything; too long a one asks for little."""
        query = [("archived", "false")]
        whole = [*query, ("properties", ",".join(self._fields.contact_properties))]
        if self._past is not None:
            whole.append(("propertiesWithHistory", ",".join(self._fields.remembered_properties)))
        if len(urlencode(whole)) <= LONGEST_QUERY:
            return [*whole, ("limit", str(BATCH if self._past is None else HISTORY_BATCH))], True
        return [*query, ("properties", MODIFIED), ("limit", str(BATCH))], False

    def _changes(self, walk: Walk) -> Iterator[Page[Lead]]:
        """Search says who changed, a batch read says to what: it sees fresher data than the search index."""
        for hits in changed(self._api, "contacts.search", MODIFIED, [MODIFIED], walk):
            skipped = hits.skipped
            records = self._details(hits.records, skipped)
            yield Page(self._leads(records, skipped), hits.progress, +skipped)

    def _details(self, hits: Sequence[Record], skipped: Counter[str], *, past: bool = False) -> list[Record]:
        batch = self._read([hit.id for hit in hits], past=past)
        skipped["gone meanwhile"] += len(batch.gone)
        skipped["record without an answer"] += len(batch.unanswered)
        return list(batch.records.values())

    def of(self, record_ids: Sequence[str], skipped: Counter[str]) -> list[Lead]:
        """These contacts as leads, as they are now; those that are gone meanwhile, and counted so, are left out."""
        batch = self._read(record_ids)
        skipped["gone meanwhile"] += len(batch.gone)
        skipped["record without an answer"] += len(batch.unanswered)
        return self._leads(batch.records.values(), skipped)

    def count(self, since: datetime, before: datetime) -> int:
        """See `Crm.count`: a search tells how many it found, however few of them it gives."""
        filters = [
            {"propertyName": CREATED, "operator": sign, "value": str(int(at.timestamp() * 1000))}
            for sign, at in (("GTE", since), ("LT", before))
        ]
        body = {"filterGroups": [{"filters": filters}], "properties": [CREATED], "limit": 1}
        return self._api.ask("contacts.search", Counted, body=body).total

    # --- single ones -------------------------------------------------------------------------------------------------

    def read(self, record_ids: Sequence[str]) -> Reading:
        """See `Crm.read_leads`. Raises Unknown when HubSpot's answer leaves records out without a word."""
        asked = list(dict.fromkeys(record_ids))
        numbers = [one for one in asked if one.isdecimal()]  # anything else would refuse the whole batch
        batch = self._read(numbers)
        moved = {old: new for old in batch.gone if (new := self.survivor(old)) is not None}
        fresh = [new for new in dict.fromkeys(moved.values()) if new not in batch.records]
        second = self._read(fresh)
        records = batch.records | second.records
        if unanswered := batch.unanswered + second.unanswered:
            raise Unknown(VENDOR, "contacts.batch.read", f"{len(unanswered)} of {len(asked)} records left out")
        moved = {old: new for old, new in moved.items() if new in records}
        return Reading(
            found=self._leads(records.values(), Counter()),
            gone=[contact_ref(one) for one in asked if one not in records and one not in moved],
            moved={contact_ref(old): contact_ref(new) for old, new in moved.items()},
        )

    def survivor(self, record_id: str) -> str | None:
        """The id a contact lives on under: its own, or that of the record it was merged into; None when it is gone.

        Ids of merged contacts resolve in single reads only, not in batches (section 5.3).
        """
        query = [("properties", MODIFIED)]
        try:
            return self._api.ask("contacts.get", Record, arguments={"id": record_id}, query=query).id
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    # --- parts -------------------------------------------------------------------------------------------------------

    def _read(self, ids: Sequence[str], *, past: bool = False) -> _Batch:
        remembered = self._fields.remembered_properties if past and self._past is not None else ()
        return self._batch_read("contacts.batch.read", ids, self._fields.contact_properties, remembered)

    def _batch_read(
        self, operation: str, ids: Sequence[str], properties: Sequence[str], remembered: Sequence[str] = ()
    ) -> _Batch:
        found = _Batch()
        for part in in_batches(ids, HISTORY_BATCH if remembered else BATCH):
            inputs = [{"id": one} for one in part]
            body = {"properties": list(properties), "propertiesWithHistory": list(remembered), "inputs": inputs}
            answer = self._api.ask(operation, BatchAnswer, body=body)
            records = (record for raw in answer.results if (record := row(Record, raw)) is not None)
            # Joined by id: the order of results is not that of the inputs (section 5.1).
            mine = {record.id: record for record in records if record.id in part}
            missing = {one for error in answer.errors for one in error.context.get("ids", ())}
            found.records |= mine
            found.gone += [one for one in part if one in missing and one not in mine]
            found.unanswered += [one for one in part if one not in missing and one not in mine]
        return found

    def _leads(self, records: Iterable[Record], skipped: Counter[str], *, past: bool = False) -> list[Lead]:
        records = list(records)
        back = self._past if past else None
        companies = self._companies(records, past=back is not None)
        now = clock.now()
        leads = [self._fields.lead(record, companies, skipped, now) for record in records]
        if back is None:
            return leads
        told = zip(leads, records, strict=True)
        return [self._fields.with_past(lead, record, companies, now - back) for lead, record in told]

    def _companies(self, records: Sequence[Record], *, past: bool = False) -> dict[str, Record]:
        """The primary companies of these contacts, each read once."""
        ids = sorted({company for record in records if (company := self._fields.company_of(record)) is not None})
        properties = self._fields.company_properties
        batch = self._batch_read("companies.batch.read", ids, properties, properties if past else ())
        if batch.unanswered:  # a company taken for absent would change scores
            raise Unknown(VENDOR, "companies.batch.read", f"{len(batch.unanswered)} of {len(ids)} records left out")
        return batch.records


def _instants(records: Sequence[Record]) -> list[datetime]:
    return [at for record in records if (at := modified_in(record, MODIFIED)) is not None]
