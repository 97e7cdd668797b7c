"""Pulling what is logged as CRM records: a walk through what changed, and who took part (vendors/hubspot.md section 9).

Whatever was logged or edited since comes again, whenever it took place: activities can exist long before they are
logged, so they are read by the date of change and scored by their own.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta

from pydantic import Field

from connectors.base import Page, Progress
from connectors.batches import in_batches
from connectors.hubspot.auth import Api
from connectors.hubspot.engagements import DEALS, Stage, from_deal, from_engagement, properties_of
from connectors.hubspot.leads import HISTORY_BATCH
from connectors.hubspot.search import changed
from connectors.hubspot.wire import BatchAnswer, HistoryEntry, Id, Listing, Paging, Record, Shape, Texts, row
from connectors.watermark import Walk, walk_in, watermark_in
from leadbridge import clock
from leadbridge.types import Activity

ASSOCIATIONS = 1000
"""Records whose associations one call gives."""


class End(Shape):
    id: Id


class Associated(Shape):
    to: Id = Field(alias="toObjectId")  # a number in v4, text in 2026-09 (section 7)


class AssociationRow(Shape):
    origin: End = Field(alias="from")
    to: list[Associated] = Field(default_factory=list)
    paging: Paging | None = None


class StageRow(Shape):
    id: Id
    label: str = ""
    meaning: Texts = Field({}, alias="metadata")

    def read(self) -> Stage:
        """Closed with certainty of success means won (section 8.4)."""
        closed, probability = self.meaning.get("isClosed"), self.meaning.get("probability")
        return Stage(self.label, closed=closed == "true", won=probability in ("1.0", "1"))


class Pipeline(Shape):
    stages: list[StageRow] = Field(default_factory=list)


class Logged:
    """Reads the engagements, deals and tickets of one account."""

    def __init__(self, api: Api, *, history: timedelta, lookback: timedelta) -> None:
        self._api = api
        self._history = history
        self._lookback = lookback

    def pull(self, source: str, progress: Progress | None) -> Iterator[Page[Activity]]:
        """See `Crm.pull_activities`. An interrupted walk is ended first, and then brought up to date."""
        walk = walk_in(progress)
        if walk is not None:
            for page in self._walk(source, walk):
                progress = page.progress
                yield page
        now, watermark = clock.now(), watermark_in(progress)
        low = watermark.at - self._lookback if watermark.at else now - self._history
        yield from self._walk(source, Walk(now, low, watermark=watermark, there=self._api.vendor_now()))

    def _walk(self, source: str, walk: Walk) -> Iterator[Page[Activity]]:
        stages = self._stages() if source == DEALS else {}
        for hits in changed(self._api, f"{source}.search", "hs_lastmodifieddate", properties_of(source), walk):
            ids = [record.id for record in hits.records]
            contacts = contacts_of(self._api, source, ids)
            told: list[Activity | str] = []
            moves = self._moves(ids) if source == DEALS else {}
            for record in hits.records:
                who = contacts.get(record.id, ())
                found = (
                    from_deal(record, moves.get(record.id, ()), who, stages)
                    if source == DEALS
                    else from_engagement(source, record, who)
                )
                told += [found] if isinstance(found, str) else found
            yield page_of(told, hits.progress, hits.skipped)

    def _stages(self) -> dict[str, Stage]:
        """What the stages of the account's deals mean; a stage keeps its id for ever, its label and meaning may move.

        One that is not among them (a deleted one) means nothing but itself.
        """
        listing = self._api.ask("deals.pipelines", Listing)
        pipelines = [found for raw in listing.results if (found := row(Pipeline, raw)) is not None]
        return {stage.id: stage.read() for pipeline in pipelines for stage in pipeline.stages}

    def _moves(self, ids: Sequence[str]) -> dict[str, Sequence[HistoryEntry]]:
        """The stages each deal went through, newest first. Deals gone meanwhile are missing."""
        found: dict[str, Sequence[HistoryEntry]] = {}
        for part in in_batches(ids, HISTORY_BATCH):
            inputs = [{"id": one} for one in part]
            body = {"properties": ["dealstage"], "propertiesWithHistory": ["dealstage"], "inputs": inputs}
            answer = self._api.ask("deals.batch.read", BatchAnswer, body=body)
            records = [record for raw in answer.results if (record := row(Record, raw)) is not None]
            found |= {record.id: record.history.get("dealstage", ()) for record in records}
        return found


def contacts_of(api: Api, source: str, ids: Sequence[str], *, whole: bool = True) -> dict[str, list[str]]:
    """Contacts of each record; one without any is missing here and listed among the errors (section 7).

    Unless `whole`, a record with more contacts than one page shows is missing too.
    """
    found: dict[str, dict[str, None]] = {}
    inputs = [{"id": one} for one in ids]
    while inputs:
        answer = api.ask(f"{source}.contacts", BatchAnswer, body={"inputs": inputs[:ASSOCIATIONS]})
        inputs = inputs[ASSOCIATIONS:]
        for raw in answer.results:
            one = row(AssociationRow, raw)
            if one is None:
                continue
            more = one.paging.next if one.paging else None
            if more is not None and not whole:
                continue
            found.setdefault(one.origin.id, {}).update((end.to, None) for end in one.to)
            if more is not None:
                inputs.append({"id": one.origin.id, "after": more.after})
    return {origin: list(contacts) for origin, contacts in found.items()}


def page_of(rows: Sequence[Activity | str], progress: Progress, skipped: Counter[str] | None = None) -> Page[Activity]:
    """A page of activities; a text in place of one is the reason why there is none, and is counted."""
    reasons = Counter(one for one in rows if isinstance(one, str))
    return Page([one for one in rows if not isinstance(one, str)], progress, +(reasons + (skipped or Counter())))
