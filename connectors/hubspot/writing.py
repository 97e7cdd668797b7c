"""Writing properties back, each item accounted for (vendors/hubspot.md sections 5.2, 14.3 and 14.4; reliability G16).

Each input carries a trace id, with which HubSpot may write the good ones of a batch and name the bad ones. Where it
refuses the whole batch all the same, or breaks over it, the batch is halved until the bad ones stand alone.
"""

from collections.abc import Mapping, Sequence

from connectors.base import Change, Outcome, Settled
from connectors.batches import by_halves, in_batches
from connectors.hubspot.auth import Api
from connectors.hubspot.leads import Leads
from connectors.hubspot.mapping import contact_ref
from connectors.hubspot.wire import VENDOR, BatchAnswer, ErrorItem, Refused
from leadbridge import logs
from leadbridge.call import masked
from leadbridge.errors import NeedsOperator, RetryLater, Unknown, VendorError
from leadbridge.types import RecordRef

log = logs.logger(__name__)

BATCH = 100

_NO_SUCH_PROPERTY = {"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"}
"""Refusals that no other record would escape: the property is not there any more, or not ours to write."""

Answers = dict[str, Settled]


class Writes:
    """Sets properties of contacts."""

    def __init__(self, api: Api, leads: Leads) -> None:
        self._api = api
        self._leads = leads

    def write(self, changes: Sequence[Change]) -> Mapping[RecordRef, Settled]:
        """See `Crm.write`. Raises only while nothing is settled; after that, what is left comes back UNANSWERED.

        Batches go one after another: HubSpot locks records that two batches touch (423).
        """
        wanted: dict[str, dict[str, str]] = {}
        for change in changes:  # one input per record, or HubSpot refuses the batch; the later value wins
            wanted.setdefault(change.ref.record_id, {}).update(change.values)
        settled: Answers = {one: _refused("not a HubSpot record id") for one in wanted if not one.isdecimal()}
        todo = [one for one in wanted if one not in settled]
        for part in in_batches(todo, BATCH):
            try:
                self._part(part, wanted, settled)
            except (NeedsOperator, RetryLater) as error:
                if not settled:
                    raise
                rest = Settled(Outcome.UNANSWERED, masked(f"not sent or not answered: {error.problem}"))
                settled |= {one: rest for one in todo if one not in settled}
                break
        return {change.ref: settled[change.ref.record_id] for change in changes}

    def _part(self, ids: Sequence[str], wanted: Mapping[str, Mapping[str, str]], settled: Answers) -> None:
        """Settle these ids, in halves where HubSpot does not take them together."""

        def send(some: Sequence[str]) -> VendorError | None:
            error = self._together(some, wanted, settled, once=len(some) < len(ids))
            if isinstance(error, Unknown) and not self._reads(some[0]):
                raise error  # it is not these that HubSpot breaks over
            return error

        def alone(one: str, error: VendorError) -> None:
            refused = isinstance(error, Refused)
            settled[one] = _refused(error.problem) if refused else Settled(Outcome.UNANSWERED, masked(error.problem))

        by_halves(ids, send, alone)

    def _together(
        self, ids: Sequence[str], wanted: Mapping[str, Mapping[str, str]], settled: Answers, *, once: bool
    ) -> VendorError | None:
        """Settle these ids by one call; what stands in the way of that."""
        inputs = [{"id": one, "objectWriteTraceId": one, "properties": wanted[one]} for one in ids]
        try:
            answer = self._api.ask("contacts.batch.update", BatchAnswer, body={"inputs": inputs}, once=once)
        except Refused as refused:
            _need_properties(refused.body)
            return refused
        except Unknown as unknown:
            # An error 500 can be a validation in disguise (section 14.1), so the rest of a batch gets its chance.
            if unknown.status != 500:
                raise
            return unknown
        self._take_apart(ids, answer, settled)
        return None

    def _reads(self, record_id: str) -> bool:
        """Does HubSpot answer at all?"""
        try:
            self._leads.survivor(record_id)
        except VendorError:
            return False
        return True

    def _take_apart(self, ids: Sequence[str], answer: BatchAnswer, settled: Answers) -> None:
        """Done means named as done. One error can stand for many inputs, and says so in its context only."""
        written = {str(result.get("id")) for result in answer.results}
        refused: dict[str, ErrorItem] = {}
        stray: list[ErrorItem] = []
        for error in answer.errors:
            _need_properties(error)
            named = [*error.context.get("objectWriteTraceId", ()), *error.context.get("ids", ())]
            refused |= dict.fromkeys(named, error)
            if not named:
                stray.append(error)
        if strange := (written | refused.keys()).difference(ids):
            log.error("an answer names records that were not sent", vendor=VENDOR, records=len(strange))
        silence = "; ".join(one.words() for one in stray) or "the answer does not mention it"
        for one in ids:
            if one in refused:
                settled[one] = self._fate(one, refused[one])
            elif one in written:
                settled[one] = Settled(Outcome.WRITTEN)
            else:
                settled[one] = Settled(Outcome.UNANSWERED, masked(silence))

    def _fate(self, record_id: str, error: ErrorItem) -> Settled:
        """A record HubSpot does not have under this id: merged away, or gone. Everything else is a refusal."""
        if error.category != "OBJECT_NOT_FOUND":
            return _refused(error.words())
        try:
            now = self._leads.survivor(record_id)
        except VendorError as unclear:
            return Settled(Outcome.UNANSWERED, masked(unclear.problem))
        if now is None:
            return Settled(Outcome.GONE, "HubSpot has no such contact")
        if now == record_id:
            return Settled(Outcome.UNANSWERED, "HubSpot says both that it has the contact and that it has not")
        return Settled(Outcome.MOVED, "merged into another contact", moved_to=contact_ref(now))


def _refused(words: str) -> Settled:
    return Settled(Outcome.REFUSED, masked(words))


def _need_properties(error: ErrorItem) -> None:
    """Stop when a property of ours is missing, instead of refusing every record one by one (fault 28)."""
    found = error.codes() & _NO_SUCH_PROPERTY
    if found:
        names = ", ".join(error.properties()) or "one of ours"
        cure = "run `leadbridge apply` to create it, or name another one under write_back"
        raise NeedsOperator(VENDOR, "contacts.batch.update", f"property {names} cannot be written; {cure}")
