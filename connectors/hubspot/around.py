"""What a walk through changed contacts does not show: companies they belong to, and contacts that are no more.

A change of a company changes every lead that reads one of its properties, and leaves the contact's own date alone. An
archived contact leaves list and search without a word; a webhook tells, or the list of the archived, looked through
once a day (vendors/hubspot.md sections 5.4, 6 and 7).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from connectors.base import Page, Progress
from connectors.batches import in_batches
from connectors.hubspot.auth import Api
from connectors.hubspot.leads import BATCH, Leads
from connectors.hubspot.logged import contacts_of
from connectors.hubspot.mapping import Fields, contact_ref
from connectors.hubspot.search import changed
from connectors.hubspot.wire import Listing, Record, row
from connectors.values import moment
from connectors.watermark import Walk, Watermark, instant_in, progress_of, walk_in, watermark_in
from leadbridge import clock
from leadbridge.types import Lead, RecordRef

COMPANY = "company"
COMPANIES, SWEPT, SWEEPING = "companies", "swept", "sweeping"
"""What the progress of a pull holds beside the walk through contacts: the walk through companies, when the archived
were last looked through, and where a look through them stands."""

SWEEP_EVERY = timedelta(days=1)
SWEEP_OVERLAP = timedelta(days=1)
"""Looked at again, because the two clocks need not agree."""

MODIFIED = "hs_lastmodifieddate"
REMEMBERED = 200_000
"""Companies whose values this process remembers: most of their changes concern nothing we read."""

LONGEST_LIST = 1500
"""Characters of property names in a search, whose body may have 3,000 (section 6)."""


class Around:
    """The pull of one account's leads, whole."""

    def __init__(self, api: Api, fields: Fields, leads: Leads, lookback: timedelta) -> None:
        self._api = api
        self._fields = fields
        self._leads = leads
        self._lookback = lookback
        self._values: dict[str, int] = {}  # company id: hash of the values we read from it

    def pull(self, progress: Progress | None, *, full: bool) -> Iterator[Page[Lead]]:
        """See `Crm.pull_leads`: contacts, then those whose company changed, then who is archived."""
        walk = walk_in(progress)
        begun, there = (clock.now(), self._api.vendor_now()) if walk is None else (walk.started, walk.there)
        behind = min(begun, there or begun)  # of two clocks, for what is stamped by theirs
        kept = {name: text for name, text in (progress or {}).items() if name in (COMPANIES, SWEPT, SWEEPING)}
        main = {name: text for name, text in (progress or {}).items() if name not in kept}
        whole = full or COMPANIES not in kept  # everything is read, with the companies as they are
        now = {COMPANIES: _packed(progress_of(Watermark(behind))), SWEPT: kept.get(SWEPT, begun.isoformat())}
        for page in self._leads.pull(main or None, full=full):
            main = dict(page.progress)
            if whole and walk_in(main) is None:
                kept |= now
            yield replace(page, progress=main | kept)
        if whole and not full:
            return
        if not full:
            for page in self._companies(_unpacked(kept[COMPANIES])):
                kept[COMPANIES] = _packed(page.progress)
                yield replace(page, progress=main | kept)
        for page in self._archived(kept, full=full):
            kept = dict(page.progress)
            yield replace(page, progress=main | kept)

    # --- companies ---------------------------------------------------------------------------------------------------

    def _companies(self, progress: Progress) -> Iterator[Page[Lead]]:
        """Contacts of the companies that changed; an interrupted walk is ended first, and then brought up to date."""
        if not self._fields.company_properties:
            return
        walk = walk_in(progress)
        if walk is not None:
            for page in self._walk(walk):
                progress = page.progress
                yield page
        watermark = watermark_in(progress)
        low = (watermark.at or clock.now()) - self._lookback
        yield from self._walk(Walk(clock.now(), low, watermark=watermark, there=self._api.vendor_now()))

    def _walk(self, walk: Walk) -> Iterator[Page[Lead]]:
        told = self._fields.company_properties
        properties = told if sum(len(name) + 3 for name in told) <= LONGEST_LIST else ()
        standing = walk.progress()
        for hits in changed(self._api, "companies.search", MODIFIED, [MODIFIED, *properties], walk):
            news = [one.id for one in hits.records if not properties or self._is_news(one)]
            people = {one for known in contacts_of(self._api, "companies", news).values() for one in known}
            parts = list(in_batches(sorted(people, key=int), BATCH)) or [()]
            skipped = hits.skipped
            for n, part in enumerate(parts, 1):
                leads = self._leads.of(part, skipped)
                yield Page(leads, hits.progress if n == len(parts) else standing, +skipped)
                skipped = Counter()
            standing = hits.progress

    def _is_news(self, company: Record) -> bool:
        """Does it show other values of those we read than this process saw last?"""
        values = hash(tuple(company.get(name) for name in self._fields.company_properties))
        if self._values.get(company.id) == values:
            return False
        if len(self._values) >= REMEMBERED:
            self._values.clear()
        self._values[company.id] = values
        return True

    def people_behind(self, refs: Sequence[RecordRef]) -> list[RecordRef]:
        """See `Crm.people_behind`. A company of very many contacts is left to the pull, which reads them in pages."""
        ids = [ref.record_id for ref in refs if ref.object_type == COMPANY and ref.record_id.isdecimal()]
        if not ids or not self._fields.company_properties:
            return []
        found = contacts_of(self._api, "companies", ids, whole=False)
        return [contact_ref(one) for known in found.values() for one in known]

    # --- the archived ------------------------------------------------------------------------------------------------

    def _archived(self, kept: Mapping[str, str], *, full: bool) -> Iterator[Page[Lead]]:
        """Contacts archived since the last look. The list holds whoever was archived in the last ninety days."""
        swept, begun = instant_in(kept, SWEPT), clock.now()
        after = kept.get(SWEEPING, "")
        if swept is None or not (full or after or begun - swept >= SWEEP_EVERY):
            return
        stay = {name: text for name, text in kept.items() if name != SWEEPING}
        while True:
            query = [("limit", str(BATCH)), ("archived", "true"), ("properties", "createdate")]
            query += [("after", after)] if after else []
            listing = self._api.ask("contacts.list", Listing, query=query)
            gone = [one for raw in listing.results if (one := _gone_since(raw, swept - SWEEP_OVERLAP)) is not None]
            if listing.after is None:
                # What is archived while we read comes with the next look, which reaches back behind this one.
                yield Page((), stay | {SWEPT: begun.isoformat()}, gone=gone)
                return
            after = listing.after
            yield Page((), stay | {SWEEPING: after}, gone=gone)


def _gone_since(raw: Mapping[str, object], since: datetime) -> RecordRef | None:
    record = row(Record, dict(raw))
    if record is None or raw.get("archived") is False:
        return None
    at = moment(str(raw.get("archivedAt") or ""))
    return contact_ref(record.id) if at is None or at >= since else None


def _packed(progress: Progress) -> str:
    return json.dumps(dict(progress), sort_keys=True)


def _unpacked(text: str) -> Progress:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
