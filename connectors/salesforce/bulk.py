"""Setting many fields by the Bulk API 2.0 (vendors/salesforce.md, section 4.6).

One job for each object and each set of fields: an empty cell leaves its field alone, so records with different fields
do not go together. `JobComplete` says nothing about rows; the two lists of results do, matched by id.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from connectors.salesforce.auth import WRITES, Api
from connectors.salesforce.ids import long_id
from connectors.salesforce.mapping import Fields
from connectors.salesforce.walk import from_csv, until_done
from connectors.salesforce.wire import VENDOR, Job, Problem, Refused, shaped
from leadbridge import logs
from leadbridge.errors import RetryLater, VendorError
from leadbridge.types import RecordRef

log = logs.logger(__name__)

FEWEST_ROWS, MOST_ROWS = 200, 50_000

LONGEST_JOB = 480.0
"""Seconds a job may take. Its rows wait for another try then: whoever writes has a limit of time too."""

CLEARED = "#N/A"

Wanted = Mapping[RecordRef, Mapping[str, str]]
OPERATION = "bulk.ingest"


class Bulk:
    """Writes one org's records in bulk."""

    def __init__(self, api: Api, fields: Fields) -> None:
        self._api = api
        self._fields = fields

    def write(self, wanted: Wanted, meanwhile: Callable[[], None]) -> Iterator[dict[RecordRef, Problem | None]]:
        """What each record met, job by job; None: written. Small sets are left out: not named.

        `meanwhile`: see `Crm.write_many`.
        """
        groups: dict[tuple[str, tuple[str, ...]], list[RecordRef]] = defaultdict(list)
        for ref, values in wanted.items():
            groups[ref.object_type, tuple(sorted(values))].append(ref)
        for (kind, names), refs in sorted(groups.items()):
            if len(refs) < FEWEST_ROWS:
                continue  # a job takes minutes; a call of 200, a second
            for start in range(0, len(refs), MOST_ROWS):
                yield self._job(kind, names, refs[start : start + MOST_ROWS], wanted, meanwhile)

    def _job(
        self,
        kind: str,
        names: Sequence[str],
        refs: Sequence[RecordRef],
        wanted: Wanted,
        meanwhile: Callable[[], None],
    ) -> dict[RecordRef, Problem | None]:
        body = {"operation": "update", "object": kind, "contentType": "CSV", "columnDelimiter": "COMMA",
                "lineEnding": "LF"}  # fmt: skip
        made = self._api.ask(
            OPERATION,
            lambda library: library.restful("jobs/ingest", method="POST", json=body),
            lambda answer: shaped(Job, answer),
            spend=WRITES,
        )
        path = f"jobs/ingest/{made.id}"
        table = _csv(names, refs, wanted)
        _again_is_once(lambda: self._api.raw(OPERATION, "PUT", f"{path}/batches", body=table, spend=WRITES))
        _again_is_once(lambda: self._set_state(path, "UploadComplete"))
        try:
            until_done(self._api, OPERATION, path, longest=LONGEST_JOB, meanwhile=meanwhile)
        except RetryLater:
            self._abort(path)
            raise
        by_id = {ref.record_id: ref for ref in refs}
        found: dict[RecordRef, Problem | None] = {}
        for row in self._results(path, "successfulResults"):
            if (ref := by_id.get(long_id(row.get("sf__Id", "")) or "")) is not None:
                found[ref] = None
        for row in self._results(path, "failedResults"):
            if (ref := by_id.get(long_id(row.get("sf__Id") or row.get("Id", "")) or "")) is not None:
                found[ref] = _problem(row.get("sf__Error", ""))
        silence = Problem(errorCode="UNKNOWN_EXCEPTION", message="the results do not mention it")
        return {ref: found.get(ref, silence) for ref in refs}

    def _abort(self, path: str) -> None:
        """A job we leave must not set old values after newer ones (reliability G18). One left because we stop goes on;
        should it do so, the next pull finds what it set, and that is put right."""
        try:
            self._set_state(path, "Aborted")
        except VendorError as error:
            log.warning("bulk job left running", vendor=VENDOR, why=error.problem)

    def _set_state(self, path: str, state: str) -> None:
        self._api.ask(
            OPERATION,
            lambda library: library.restful(path, method="PATCH", json={"state": state}),
            lambda answer: shaped(Job, answer),
            spend=WRITES,
        )

    def _results(self, path: str, which: str) -> list[dict[str, str]]:
        return from_csv(self._api.raw(OPERATION, "GET", f"{path}/{which}", spend=WRITES).content)


def _again_is_once(step: Callable[[], object]) -> None:
    """A step of a job whose answer was lost is refused when it is sent again: it was done."""
    try:
        step()
    except Refused as refused:
        if "INVALIDJOBSTATE" not in refused.codes:
            raise


def _csv(names: Sequence[str], refs: Sequence[RecordRef], wanted: Wanted) -> bytes:
    """A table of our own making: an empty cell would leave its field alone, so "" is written as its own word."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(["Id", *names])
    lines.writerows([ref.record_id, *(wanted[ref][name] or CLEARED for name in names)] for ref in refs)
    return out.getvalue().encode()


def _problem(cell: str) -> Problem:
    """`CODE:message:fields--` as a problem."""
    code, _, rest = cell.partition(":")
    message, _, fields = rest.rpartition(":")
    named = [one for one in fields.removesuffix("--").split(",") if one]
    return Problem(errorCode=code or "UNKNOWN_EXCEPTION", message=message or rest, fields=named)
