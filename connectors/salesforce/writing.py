"""Setting fields, each record accounted for (vendors/salesforce.md, sections 4.1 and 4.4; reliability G16).

A collection answers 200 whatever became of its rows, and rows are matched by position. What one record meets leaves
the others alone (`allOrNone: false`); a call refused as a whole is halved until the bad record stands alone.
"""

import json
from collections.abc import Callable, Mapping, Sequence

from connectors.base import Change, Outcome, Settled
from connectors.batches import by_halves, in_batches
from connectors.salesforce.auth import WRITES, Api
from connectors.salesforce.bulk import Bulk
from connectors.salesforce.describe import Objects
from connectors.salesforce.leads import Leads
from connectors.salesforce.mapping import Fields, ref_of
from connectors.salesforce.wire import FIELD_FAULTS, LOCKS, VENDOR, Problem, Refused, RowAnswer, rows_of
from leadbridge import logs
from leadbridge.call import masked
from leadbridge.errors import NeedsOperator, RetryLater, Unknown, VendorError
from leadbridge.types import RecordRef

log = logs.logger(__name__)

BATCH = 200
LOCK_BATCH = 20
LOCK_WAIT = 2.0
"""Rows held by another transaction are sent again once, few at a time, after so many seconds (section 4.4)."""

_ELSEWHERE = {"CANNOT_UPDATE_CONVERTED_LEAD", "ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"}
_PASSING = {
    "REQUEST_RUNNING_TOO_LONG", "UNKNOWN_EXCEPTION", "SERVER_UNAVAILABLE", "TXN_SECURITY_METERING_ERROR",
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "ORG_IN_MAINTENANCE", "ALL_OR_NONE_OPERATION_ROLLED_BACK",
}  # fmt: skip

Wanted = Mapping[RecordRef, Mapping[str, str]]
Answers = dict[RecordRef, Settled]


class Writes:
    """Sets fields of leads and contacts."""

    def __init__(self, api: Api, objects: Objects, leads: Leads, fields: Fields) -> None:
        self._api = api
        self._objects = objects
        self._leads = leads
        self._fields = fields
        self._bulk = Bulk(api, fields)

    def write(self, changes: Sequence[Change]) -> Mapping[RecordRef, Settled]:
        """See `Crm.write`. Raises only while nothing is settled; after that, what is left comes back UNANSWERED.

        Collections go one after another: parallel ones meet the locks of shared accounts.
        """
        return self._write(changes, lambda _wanted, _settled: None)

    def write_many(self, changes: Sequence[Change], meanwhile: Callable[[], None]) -> Mapping[RecordRef, Settled]:
        """See `Crm.write_many`: by bulk jobs, and by the call what those leave, refused jobs among it."""

        def in_bulk(wanted: Wanted, settled: Answers) -> None:
            try:
                for answers in self._bulk.write(wanted, meanwhile):
                    self._take(answers, settled)
            except Refused as refused:
                log.warning("not written in bulk", vendor=VENDOR, why=refused.problem)

        return self._write(changes, in_bulk)

    def _write(
        self, changes: Sequence[Change], first: Callable[[Wanted, Answers], None]
    ) -> Mapping[RecordRef, Settled]:
        wanted: dict[RecordRef, dict[str, str]] = {}
        for change in changes:  # one row per record, or Salesforce refuses the second; the later value wins
            wanted.setdefault(change.ref, {}).update(change.values)
        settled: Answers = {
            ref: _refused("not the id of a lead or contact") for ref in wanted if ref_of(ref.record_id) != ref
        }
        todo = sorted(ref for ref in wanted if ref not in settled)  # runs of one type: ten at most in a call
        try:
            first({ref: wanted[ref] for ref in todo}, settled)
            for part in in_batches([ref for ref in todo if ref not in settled], BATCH):
                self._collection(part, wanted, settled)
        except (NeedsOperator, RetryLater) as error:
            if not settled:
                raise
            rest = Settled(Outcome.UNANSWERED, masked(f"not sent or not answered: {error.problem}"))
            settled |= {ref: rest for ref in todo if ref not in settled}
        return {change.ref: settled[change.ref] for change in changes}

    def _collection(self, refs: Sequence[RecordRef], wanted: Wanted, settled: Answers) -> None:
        """Settle these; rows that were locked are sent once more, few at a time."""
        problems: dict[RecordRef, Problem | None] = {}
        self._send(refs, wanted, problems)
        locked = [ref for ref, problem in problems.items() if problem is not None and _is_lock(problem)]
        if locked:
            self._api.pace.wait(LOCK_WAIT)
            for part in in_batches(locked, LOCK_BATCH):
                self._send(part, wanted, problems)
        self._take(problems, settled)

    def _send(self, refs: Sequence[RecordRef], wanted: Wanted, problems: dict[RecordRef, Problem | None]) -> None:
        """What each record met, in halves where Salesforce does not take them together; None: written."""

        def send(some: Sequence[RecordRef]) -> VendorError | None:
            error = self._together(some, wanted, problems, once=len(some) < len(refs))
            if isinstance(error, Unknown) and not self._reads(some[0]):
                raise error  # it is not these that Salesforce breaks over
            return error

        def alone(ref: RecordRef, error: VendorError) -> None:
            code = "REFUSED" if isinstance(error, Refused) else "UNKNOWN_EXCEPTION"
            problems[ref] = Problem(errorCode=code, message=error.problem)

        by_halves(refs, send, alone)

    def _together(
        self, refs: Sequence[RecordRef], wanted: Wanted, problems: dict[RecordRef, Problem | None], *, once: bool
    ) -> VendorError | None:
        """What each record met in one call; what stands in the way of that."""
        records = [
            {"attributes": {"type": ref.object_type}, "id": ref.record_id, **self._values(wanted[ref])} for ref in refs
        ]
        body = {"allOrNone": False, "records": records}
        try:
            answers = self._api.ask(
                "collections.update",
                lambda library: library.restful("composite/sobjects", method="PATCH", json=body),
                rows_of,
                repeatable=not once,
                spend=WRITES,
            )
        except Refused as refused:
            self._need_fields(refused.problems)
            return refused
        except Unknown as unknown:
            if unknown.status != 500:  # one row's trigger can bring the whole call down
                raise
            return unknown
        silent = len(answers) != len(refs)  # by position or not at all
        for n, ref in enumerate(refs):
            problems[ref] = _SILENCE if silent else _met(ref, answers[n])
        self._need_fields([one for ref in refs if (one := problems[ref]) is not None])
        return None

    def _reads(self, ref: RecordRef) -> bool:
        """Does Salesforce answer at all?"""
        try:
            self._leads.read([ref])
        except VendorError:
            return False
        return True

    def _values(self, values: Mapping[str, str]) -> dict[str, str | float | None]:
        """Texts as JSON: null clears a field, a number in quotes may be refused."""
        return {
            name: None if text == "" else json.loads(text) if self._fields.is_number(name) and _numeric(text) else text
            for name, text in values.items()
        }

    def _take(self, problems: Mapping[RecordRef, Problem | None], settled: Answers) -> None:
        """What the rows met as outcomes. Those that live elsewhere are read together."""
        self._need_fields([one for one in problems.values() if one is not None])
        moved: list[RecordRef] = []
        for ref, problem in problems.items():
            if problem is None:
                settled[ref] = Settled(Outcome.WRITTEN)
            elif problem.name in _ELSEWHERE:
                moved.append(ref)
            elif _is_lock(problem) or problem.name in _PASSING:
                settled[ref] = Settled(Outcome.UNANSWERED, masked(problem.words()))
            else:
                settled[ref] = _refused(problem.words())
        if moved:
            settled |= self._fates(moved, problems)

    def _fates(self, refs: Sequence[RecordRef], problems: Mapping[RecordRef, Problem | None]) -> Answers:
        try:
            reading = self._leads.read(refs)
        except VendorError as unclear:
            return {ref: Settled(Outcome.UNANSWERED, masked(unclear.problem)) for ref in refs}
        gone = set(reading.gone)
        found: Answers = {}
        for ref in refs:
            problem = problems[ref]
            if ref in reading.moved:
                found[ref] = Settled(Outcome.MOVED, "merged or converted", moved_to=reading.moved[ref])
            elif ref in gone:
                found[ref] = Settled(Outcome.GONE, "Salesforce has no such record, or does not show it to us")
            else:
                found[ref] = _refused(problem.words() if problem else "")
        return found

    def _need_fields(self, problems: Sequence[Problem]) -> None:
        """Stop when a field of ours is missing or hidden, instead of refusing every record one by one (fault 28)."""
        found = [problem for problem in problems if problem.name in FIELD_FAULTS]
        if not found:
            return
        self._objects.forget()
        told = " ".join(problem.words() for problem in found)
        names = ", ".join(target.name for target in self._fields.targets.values() if target.name in told)
        cure = "run `leadbridge apply` to create it and to make it visible, or name another one under write_back"
        problem = f"field {names or 'of ours'} cannot be written: it is not there, hidden or read-only; {cure}"
        raise NeedsOperator(VENDOR, "collections.update", problem)


_SILENCE = Problem(errorCode="UNKNOWN_EXCEPTION", message="the answer does not mention it")


def _met(ref: RecordRef, answer: RowAnswer | None) -> Problem | None:
    if answer is None:
        return _SILENCE
    if answer.success:
        return None if answer.id in (None, ref.record_id) else _SILENCE
    return answer.errors[0] if answer.errors else Problem(errorCode="REFUSED", message="refused without a word")


def _is_lock(problem: Problem) -> bool:
    """Held by another transaction; a trigger's or flow's failure may hold that inside its text."""
    return any(mark in f"{problem.name} {problem.message}" for mark in LOCKS)


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refused(words: str) -> Settled:
    return Settled(Outcome.REFUSED, masked(words))
