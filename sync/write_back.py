"""Changed values to the vendors, in batches of each one's size, each item accounted for (reliability G15, G16, G18).

A CRM's records and an e-mail platform's members go the same way; a member's record id is its canonical address.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection

from connectors.base import Change, Crm, EmailPlatform, Outcome, Settled
from leadbridge import clock, logs
from leadbridge.errors import NeedsOperator, RetryLater, VendorError
from leadbridge.progress import Tell, unheard
from leadbridge.store import due, outbox
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store
from leadbridge.types import RecordRef
from sync import identity, rereading, retry
from sync.holding import renewed
from sync.wishes import MEMBER, MEMBERS_AT_ONCE

log = logs.logger(__name__)

BEGIN_WITHIN = 30.0
"""Seconds after the claim within which the call must begin: a process that stood still writes nothing stale (G18)."""

BULK = 10_000
"""Records of a backlog handed over together, where the vendor has a way for many (`Crm.bulk_above`)."""


@dataclass(slots=True)
class Written:
    """What became of the writes."""

    written: int = 0
    refused: int = 0  # now in quarantine
    gone: int = 0
    moved: int = 0
    waiting: int = 0  # to be tried again later
    paused: list[str] = field(default_factory=list)  # connections that need an operator, with the reason
    reasons: Counter[str] = field(default_factory=Counter)


def write_back(
    store: Store,
    room: Crm | EmailPlatform,
    *,
    owner: str,
    lanes: Sequence[due.Lane] = tuple(due.Lane),
    tell: Tell = unheard,
) -> Written:
    """Send every write of these lanes that is due to this vendor, the most urgent first. Killed anywhere, what was not
    confirmed is sent again."""
    done = Written()
    while True:
        with store.writing() as tx:
            claims = outbox.claim_writes(
                tx,
                room.vendor,
                limit=_at_once(tx, room),
                owner=owner,
                lanes=lanes,
                now=clock.replaced(),
            )
        if not claims:
            return done
        begin_by, aside = time.monotonic() + BEGIN_WITHIN, _Aside(partial(tell, "written", done.written))
        try:
            with renewed(store, partial(outbox.renew, writes=claims)):
                if time.monotonic() > begin_by:
                    log.warning("writes not begun in time", vendor=room.vendor, records=len(claims))
                    return done  # this process stood still; whoever has them now writes what is true now
                settled = _write(room, claims, aside)
        except VendorError as error:
            _put_back(store, claims, error, done)
            if isinstance(error, NeedsOperator):
                done.paused.append(str(error))
            aside.over()
            return done
        _settle(store, room, claims, settled, done)
        aside.over()
        tell("written", done.written)


def _at_once(tx: Connection, room: Crm | EmailPlatform) -> int:
    """How many writes to claim: what one call carries, or many of a backlog, which takes its time."""
    if not isinstance(room, Crm):
        return MEMBERS_AT_ONCE
    above = room.bulk_above
    if above is None or outbox.pending_writes(tx, room.vendor) <= above:
        return room.write_batch
    return room.write_batch if outbox.pending_writes(tx, room.vendor, lanes=[due.Lane.HOT]) else BULK


class _Aside:
    """What is done while a vendor works on a backlog. What ends it is raised when the backlog is settled: the vendor's
    work is not to be lost for it."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._why: Exception | None = None

    def __call__(self) -> None:
        if self._why is None:
            try:
                self._work()
            except Exception as why:  # noqa: BLE001 - raised by `over`
                self._why = why

    def over(self) -> None:
        if self._why is not None:
            raise self._why


def _write(
    room: Crm | EmailPlatform, claims: Sequence[outbox.ClaimedWrite], aside: _Aside
) -> Mapping[RecordRef, Settled]:
    if isinstance(room, Crm):
        changes = [Change(claim.ref, claim.values) for claim in claims]
        if room.bulk_above is not None and len(changes) > room.bulk_above:
            return room.write_many(changes, aside)
        return room.write(changes)
    answers = room.write({claim.ref.record_id: claim.values for claim in claims})
    return {claim.ref: answers[claim.ref.record_id] for claim in claims}


def _settle(
    store: Store,
    room: Crm | EmailPlatform,
    claims: list[outbox.ClaimedWrite],
    answers: Mapping[RecordRef, Settled],
    done: Written,
) -> None:
    now = clock.now()
    moved = rereading.moved_records(answers)
    refused: list[tuple[outbox.ClaimedWrite, str]] = []
    with store.writing() as tx:
        written = [c for c in claims if answers[c.ref].outcome is Outcome.WRITTEN]
        held = outbox.settle_written(tx, written, now)
        if lost := [claim for claim in written if claim.id not in held]:
            log.warning("written by a worker that was replaced; set once more", records=len(lost))
            due.mark_due(tx, outbox.doubt(tx, lost), now, due.Lane.HOT)
        for claim in claims:
            answer = answers[claim.ref]
            done.reasons[answer.outcome.value] += 1
            match answer.outcome:
                case Outcome.WRITTEN:
                    done.written += 1
                case Outcome.REFUSED:
                    refused.append((claim, answer.reason))
                case Outcome.UNANSWERED:
                    again = retry.next_try(claim.attempts, now)
                    if again is None:
                        refused.append((claim, f"no answer: {answer.reason}"))
                    else:
                        outbox.retry_write(tx, [claim], again)
                        done.waiting += 1
                case Outcome.GONE if claim.ref.object_type == MEMBER:
                    outbox.drop_writes(tx, [claim.ref])  # not in the audience: nobody there to show anything to
                    done.gone += 1
                case Outcome.GONE | Outcome.MOVED:
                    people = lead_store.retire_records(tx, [claim.ref], now)
                    due.mark_due(tx, identity.reunite(tx, people, now), now, due.Lane.NORMAL)
                    done.gone += answer.outcome is Outcome.GONE
                    done.moved += answer.outcome is Outcome.MOVED
        outbox.refuse_write(tx, store.vault, refused, now)
        done.refused += len(refused)
    if moved and isinstance(room, Crm):
        rereading.reread(store, room, moved, due.Lane.NORMAL)


def _put_back(store: Store, claims: list[outbox.ClaimedWrite], error: VendorError, done: Written) -> None:
    """The whole call failed: nothing is known to be written, and setting a value again is harmless.

    A vendor that cannot be reached is no fault of these records: they are tried as soon as it may be back (G32).
    """
    now = clock.now()
    log.warning("write back failed", vendor=error.vendor, why=error.problem, status=error.status)
    away = isinstance(error, RetryLater)
    soon = now + (timedelta(seconds=wish) if (wish := getattr(error, "after", None)) else retry.AGAIN)
    with store.writing() as tx:
        for claim in claims:
            again = soon if away else retry.next_try(claim.attempts, now) or now + retry.LONGEST
            outbox.retry_write(tx, [claim], again, blameless=away)
    done.waiting += len(claims)
