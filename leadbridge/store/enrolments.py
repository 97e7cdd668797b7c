"""The ledger of contact: who was to be put into which journey, and how it ended (reliability G19, pattern 5).

Rows move one way, by the table below, each move fenced by the token of the claim. `calling` is committed before the
first byte leaves; whoever finds it with a dead lease makes it `uncertain` and does not call.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Text,
    and_,
    delete,
    exists,
    func,
    select,
    type_coerce,
    update,
)

from leadbridge.store.columns import from_json
from leadbridge.store.due import Lane
from leadbridge.store.engine import among, database_now, is_writing
from leadbridge.store.leases import SECONDS, UNHELD, claim_rows, held_ids, renew_rows
from leadbridge.store.rows import tuples, update_each, upsert
from leadbridge.store.tables import due, enrolments, holdouts
from leadbridge.store.text import from_micros
from leadbridge.types import EnrolmentState, way_name

S = EnrolmentState

WAITING = frozenset({S.WANTED, S.CHECKED, S.HELD})
"""Nothing has left yet: may still be cancelled, and expires."""

CONTACT = frozenset({S.CALLING, S.DONE, S.UNCERTAIN})
"""A mail may have been caused."""

USUAL_FROM = 100
"""Calls in four weeks from which on there is a usual: fewer say nothing."""

NOT_CALLED = frozenset({S.CHECKED, S.CANCELLED})
"""Where a call under way goes when it is proven that nothing happened."""

ENDED = frozenset({S.DONE, S.REFUSED, S.CANCELLED, S.EXPIRED})

ALLOWED: dict[EnrolmentState, frozenset[EnrolmentState]] = {
    S.WANTED: frozenset({S.CHECKED, S.HELD, S.REFUSED, S.CANCELLED, S.EXPIRED}),
    S.CHECKED: frozenset({S.CHECKED, S.CALLING, S.HELD, S.REFUSED, S.CANCELLED, S.EXPIRED}),  # again: looked once more
    S.HELD: frozenset({S.WANTED, S.REFUSED, S.CANCELLED, S.EXPIRED}),  # released: everything is asked again
    # Checked: proven that nothing happened. Cancelled: the same, and whoever it was for has left meanwhile.
    S.CALLING: frozenset({S.DONE, S.REFUSED, S.UNCERTAIN, S.CHECKED, S.CANCELLED}),
    # By the vendor's proof or by a human only. Checked: proven that nothing happened, and a repeat enters nobody twice.
    S.UNCERTAIN: frozenset({S.DONE, S.REFUSED, S.CANCELLED, S.CHECKED}),
} | dict.fromkeys(ENDED, frozenset())

ADVANCE = (
    S.EXPIRED, S.CANCELLED, S.HELD, S.WANTED, S.CHECKED, S.REFUSED, S.UNCERTAIN, S.CALLING, S.DONE,
)  # fmt: skip
"""How far a row has come: where two people turn out to be one, the later in this list keeps the entry."""

_KEEPS_LEASE = {
    (S.WANTED, S.CHECKED),
    (S.CHECKED, S.CHECKED),
    (S.CHECKED, S.CALLING),
    (S.CALLING, S.CHECKED),  # nothing happened: tried again once the lease is over, not in a hot loop
}


class Intent(NamedTuple):
    """A wish to put one person into one journey. `entry` counts the person's entries, from 0."""

    person_id: int
    journey: str
    entry: int
    vendor: str
    address: str  # canonical
    trigger: str  # tag or trigger as configured
    reason_in: str
    expires_at: datetime
    score: int | None = None
    track: str = "main"
    lane: int = Lane.NORMAL
    grounds: tuple[str, ...] = ()  # names of the rules that give points now
    stage: str | None = None  # the person's, now
    variant: str = ""  # of the journey, where it has variants


@dataclass(frozen=True, slots=True)
class EnrolmentRow:
    """One row of the ledger. `token` is good for moving it only when the row came from a claim."""

    id: int
    person_id: int
    journey: str
    entry: int
    state: EnrolmentState
    vendor: str
    address: str
    trigger: str
    score: int | None
    reason_in: str
    words: str  # how it came to this state
    created_at: datetime
    state_at: datetime
    called_at: datetime | None
    due_at: datetime
    expires_at: datetime
    token: int
    track: str = "main"
    grounds: tuple[str, ...] = ()
    stage: str | None = None
    left_at: datetime | None = None  # when the person was out of the journey again
    reason_out: str = ""
    exit_state: str | None = None
    variant: str = ""

    @property
    def way(self) -> str:
        """What the platform is told to start, to look for and to end."""
        return way_name(self.journey, self.variant)


class LedgerRow(NamedTuple):
    """What matching looks at of a row of the ledger."""

    id: int
    person_id: int
    address: str
    journey: str
    entry: int
    state: EnrolmentState
    trigger: str
    at: datetime  # when it came to its state
    track: str
    grounds: frozenset[str]
    stage: str | None
    left_at: datetime | None
    variant: str


@dataclass(frozen=True, slots=True)
class Move:
    """One move of a claimed row."""

    id: int
    token: int
    from_state: EnrolmentState
    to_state: EnrolmentState
    words: str = ""
    at: datetime | None = None  # not again before; None: at once


def contacted_since(tx: Connection, vendor: str, since: datetime) -> list[str]:
    """Addresses that this vendor was called for, with whatever outcome, at or after the instant; in their order."""
    called = (enrolments.c.vendor == vendor, enrolments.c.called_at >= since)
    query = select(enrolments.c.address).where(*called).distinct().order_by(enrolments.c.address)
    return list(tx.execute(query).scalars())


def intend(tx: Connection, rows: Sequence[Intent], now: datetime) -> set[int]:
    """Write down wishes; returns the ids of the new rows. An entry that was ever wished for is left as it is.

    Ask `suppressions.suppressed` in the same transaction, before (G20).
    """
    unique = {(row.person_id, row.journey, row.entry): row for row in rows}
    made = upsert(
        tx,
        enrolments,
        [
            {
                "person_id": row.person_id,
                "journey": row.journey,
                "entry": row.entry,
                "state": S.WANTED,
                "vendor": row.vendor,
                "address": row.address,
                "trigger": row.trigger,
                "score": row.score,
                "reason_in": row.reason_in,
                "created_at": now,
                "state_at": now,
                "due_at": now,
                "expires_at": row.expires_at,
                "track": row.track,
                "lane": int(row.lane),
                "grounds": row.grounds,
                "stage": row.stage,
                "variant": row.variant,
            }
            for _, row in sorted(unique.items())
        ],
        key=["person_id", "journey", "entry"],
        returning=[enrolments.c.id],
    )
    return {row.id for row in made}


def claim_enrolments(
    tx: Connection,
    states: Collection[EnrolmentState],
    *,
    limit: int,
    owner: str,
    lease_seconds: float = SECONDS,
    now: datetime | None = None,
) -> list[EnrolmentRow]:
    """Claim rows in these states that are due, by lane, then oldest first; waiting ones only while not expired. Rows of
    somebody who is due in the hot lane are left until they have been looked at.

    Raises ValueError for `calling`: such a row is somebody's, or else to be stranded.
    """
    if S.CALLING in states:
        raise ValueError("a call under way is nobody's to claim; strand_expired makes the dead ones uncertain")
    now = now or database_now(tx)
    lasting = {state for state in states if state not in WAITING}
    hot = exists().where(due.c.person_id == enrolments.c.person_id, due.c.lane == int(Lane.HOT), due.c.due_at <= now)
    claimed = claim_rows(
        tx,
        enrolments,
        [
            enrolments.c.state.in_(sorted(states)),
            # A wish that was never put off is due at once, should the clock have been put back since.
            (enrolments.c.due_at <= now) | (enrolments.c.due_at == enrolments.c.created_at),
            (enrolments.c.expires_at > now) | enrolments.c.state.in_(sorted(lasting)),
            ~hot,  # who is to be looked at at once may not fit any more
        ],
        [enrolments.c.lane, enrolments.c.due_at, enrolments.c.id],
        limit=limit, owner=owner, seconds=lease_seconds, now=now,
    )  # fmt: skip
    return [row_of(row) for row in claimed]


def move_all(
    tx: Connection, moves: Sequence[Move], now: datetime | None = None, *, lease_seconds: float = SECONDS
) -> set[int]:
    """Move claimed rows; returns the ids of those moved. The others are no longer mine: drop them.

    To `calling` moves only what has neither expired nor lost its lease, and the lease begins anew there.
    Raises ValueError for a move the ledger does not know.
    """
    for wish in moves:
        if wish.to_state not in ALLOWED[wish.from_state]:
            raise ValueError(f"an enrolment does not move from {wish.from_state} to {wish.to_state}")
    by_id = {wish.id: wish for wish in moves}
    clock_now = database_now(tx)
    now = now or clock_now
    changes = []
    for row in tx.execute(
        select(enrolments).where(among(tx, enrolments.c.id, sorted(by_id))).order_by(enrolments.c.id).with_for_update()
    ):
        wish = by_id[row.id]
        calling = wish.to_state is S.CALLING
        if row.lease_token != wish.token or row.state != wish.from_state:
            continue
        if calling and (row.lease_until <= clock_now or row.expires_at <= now):
            continue
        values = {
            "id": row.id,
            "state": wish.to_state,
            "words": wish.words,
            "state_at": now,
            "due_at": wish.at or row.due_at,
            "called_at": now if calling else None if wish.to_state in NOT_CALLED else row.called_at,
            "lease_owner": row.lease_owner,
            "lease_until": clock_now + timedelta(seconds=lease_seconds) if calling else row.lease_until,
        }
        changes.append(values if (wish.from_state, wish.to_state) in _KEEPS_LEASE else values | UNHELD)
    update_each(tx, enrolments, changes, key=["id"])
    return {change["id"] for change in changes}


def hold(tx: Connection, rows: Sequence[EnrolmentRow]) -> None:
    """Hold these rows until the transaction ends, all at once, for one that changes some and then others."""
    held_ids(tx, enrolments, rows)


def renew(tx: Connection, rows: Sequence[EnrolmentRow], lease_seconds: float = SECONDS) -> set[int]:
    """Prolong claims; returns the ids of those still held."""
    return renew_rows(tx, enrolments, rows, lease_seconds)


def release(tx: Connection, rows: Sequence[EnrolmentRow], at: datetime | None = None) -> None:
    """Give claims back unmoved; they are due again at once, or at `at`. A row in `calling` is not given back."""
    ids = held_ids(tx, enrolments, rows)
    tx.execute(
        update(enrolments)
        .where(among(tx, enrolments.c.id, sorted(ids)), enrolments.c.state != S.CALLING)
        .values(UNHELD | ({"due_at": at} if at else {}))
    )


def count_as_called(tx: Connection, rows: Sequence[EnrolmentRow], now: datetime) -> set[int]:
    """Let the caps count what may mail these before their call does (G23); returns the ids still held."""
    ids = held_ids(tx, enrolments, rows)
    tx.execute(update(enrolments).where(among(tx, enrolments.c.id, sorted(ids))).values(called_at=now))
    return ids


def settle(tx: Connection, enrolment_id: int, to_state: EnrolmentState, words: str, now: datetime) -> bool:
    """A human, or proof from the vendor, says how an uncertain row ended; False when it is not uncertain (any more)."""
    if to_state not in ALLOWED[S.UNCERTAIN]:
        raise ValueError(f"an uncertain enrolment ends as one of {', '.join(sorted(ALLOWED[S.UNCERTAIN]))}")
    return bool(
        _set_all(tx, (enrolments.c.id == enrolment_id) & (enrolments.c.state == S.UNCERTAIN), to_state, words, now)
    )


def found_entered(tx: Connection, entered: Collection[int], unknown: Collection[int], now: datetime) -> None:
    """After a restore: of what waits, the vendor shows some as entered since the backup, and of some nobody can tell.

    The first are done, the second uncertain: neither is called by itself.
    """
    for ids, state, words in (
        (entered, S.DONE, "entered after the backup, as the vendor shows"),
        (unknown, S.UNCERTAIN, "may have been entered after the backup; look at the e-mail platform"),
    ):
        waits = among(tx, enrolments.c.id, sorted(ids)) & enrolments.c.state.in_(sorted(WAITING))
        _set_all(tx, waits, state, words, now)


def strand_expired(tx: Connection, now: datetime | None = None) -> int:
    """Make calls whose caller is gone `uncertain`; returns how many. Their callers' tokens are worth nothing then."""
    now = now or database_now(tx)
    dead = (enrolments.c.state == S.CALLING) & (enrolments.c.lease_until <= now)
    words = "the worker ended during the call; the outcome is not known"
    return _set_all(tx, dead, S.UNCERTAIN, words, now, passing_over=True)


def expire(tx: Connection, now: datetime) -> int:
    """End what has waited past its time (G24); returns how many."""
    late = enrolments.c.state.in_(sorted(WAITING)) & (enrolments.c.expires_at <= now)
    ended = _set_all(tx, late, S.EXPIRED, "not in time", now, passing_over=True)
    if ended:
        _fold(tx, (enrolments.c.state == S.EXPIRED) & (enrolments.c.state_at == now), now)
    return ended


def fold(tx: Connection, ids: Collection[int], now: datetime) -> int:
    """Let these rows, where they only say again how the person's entry before ended, be one with that row; returns
    how many were.

    A state of affairs is one row, from its `created_at` to its `state_at`, however often it was found again. Only of
    what ended before any call: a call is never folded.
    """
    return _fold(tx, among(tx, enrolments.c.id, sorted(ids)), now)


def _fold(tx: Connection, which: ColumnElement[bool], now: datetime) -> int:
    before, after = enrolments.alias("before"), enrolments.c
    same = ("person_id", "journey", "state", "words", "address", "trigger", "variant")
    alike = [before.c[name] == after[name] for name in same]
    query = select(after.id, before.c.id).join_from(enrolments, before, and_(*alike, before.c.entry == after.entry - 1))
    query = query.where(which, after.called_at.is_(None), before.c.called_at.is_(None), before.c.left_at.is_(None))
    # Whoever holds the earlier row has more to say than that it was so again.
    pairs = tx.execute(query.order_by(before.c.id).with_for_update(of=before, skip_locked=True)).all()
    if not pairs:
        return 0
    repeats, kept = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    tx.execute(update(enrolments).where(among(tx, after.id, kept)).values(state_at=now))
    tx.execute(delete(enrolments).where(among(tx, after.id, repeats)))
    return len(pairs)


def waiting_people(tx: Connection) -> list[int]:
    """Everybody for whom a row waits, in order of their ids."""
    query = select(enrolments.c.person_id).where(enrolments.c.state.in_(sorted(WAITING))).distinct()
    return sorted(tx.execute(query).scalars())


def take_back(tx: Connection, person_ids: Collection[int]) -> None:
    """Take the waiting rows of these people from whoever has claimed them; hold the people first."""
    waits = among(tx, enrolments.c.person_id, sorted(person_ids)) & enrolments.c.state.in_(sorted(WAITING))
    tx.execute(update(enrolments).where(waits).values(UNHELD | {"lease_token": enrolments.c.lease_token + 1}))


def cancel_waiting(tx: Connection, person_ids: Collection[int], why: str, now: datetime) -> int:
    """End whatever waits for these people, claimed or not (G22); returns how many."""
    return _set_all(
        tx,
        among(tx, enrolments.c.person_id, sorted(set(person_ids))) & enrolments.c.state.in_(sorted(WAITING)),
        S.CANCELLED,
        why,
        now,
    )


def cancel_rows(tx: Connection, ids: Collection[int], why: str, now: datetime) -> int:
    """End those of these rows that wait; returns how many."""
    return _set_all(
        tx, among(tx, enrolments.c.id, sorted(ids)) & enrolments.c.state.in_(sorted(WAITING)), S.CANCELLED, why, now
    )


def _set_all(
    tx: Connection,
    which: ColumnElement[bool],
    to_state: EnrolmentState,
    words: str,
    now: datetime,
    *,
    passing_over: bool = False,
) -> int:
    """Move rows whoever holds them: their holders' tokens are worth nothing afterwards.

    Taken in order of their ids, as everywhere, so that no two transactions wait for each other. `passing_over`: rows
    that another transaction is changing now are left to the next sweep.
    """
    query = select(enrolments.c.id).where(which).order_by(enrolments.c.id)
    ids = tx.execute(query.with_for_update(skip_locked=passing_over)).scalars().all()
    if not ids:
        return 0
    values = UNHELD | {"state": to_state, "words": words, "state_at": now, "lease_token": enrolments.c.lease_token + 1}
    if to_state is S.CHECKED:
        values["called_at"] = None
    return tx.execute(update(enrolments).where(among(tx, enrolments.c.id, ids)).values(values)).rowcount


# --- reading -------------------------------------------------------------------------------------------------------


def history(tx: Connection, person_ids: Collection[int]) -> dict[int, list[EnrolmentRow]]:
    """Every row of these people, by person, oldest first; in a writing transaction they are held until it ends."""
    found: dict[int, list[EnrolmentRow]] = defaultdict(list)
    query = select(enrolments).where(among(tx, enrolments.c.person_id, sorted(set(person_ids))))
    query = query.order_by(enrolments.c.id)
    for row in tx.execute(query.with_for_update() if is_writing(tx) else query):
        found[row.person_id].append(row_of(row))
    return dict(found)


def ledger(tx: Connection, person_ids: Collection[int], addresses: Collection[str]) -> list[LedgerRow]:
    """Every row of these people, and every row for these canonical addresses, whoever had them then; each once, those
    of the people first, oldest first. In a writing transaction the people's rows are held until it ends."""
    ids, at = sorted(set(person_ids)), sorted(set(addresses))
    columns = enrolments.c
    query = select(
        columns.id, columns.person_id, columns.address, columns.journey, columns.entry, columns.state, columns.trigger,
        type_coerce(columns.state_at, BigInteger), columns.track, type_coerce(columns.grounds, Text), columns.stage,
        type_coerce(columns.left_at, BigInteger), columns.variant,
    ).order_by(columns.id)  # fmt: skip
    theirs = query.where(among(tx, columns.person_id, ids))
    of_others = query.where(among(tx, columns.address, at), ~among(tx, columns.person_id, ids))
    rows = tuples(tx, theirs.with_for_update() if is_writing(tx) else theirs)
    rows += tuples(tx, of_others)
    grounds = {text: frozenset(from_json(text)) for text in {row[9] for row in rows}}  # many have the same
    return [
        LedgerRow._make(
            (*row[:5], _STATES[row[5]], row[6], from_micros(row[7]), row[8], grounds[row[9]], row[10],
             None if row[11] is None else from_micros(row[11]), row[12])
        )
        for row in rows
    ]  # fmt: skip


def at_addresses(tx: Connection, addresses: Collection[str]) -> dict[str, list[EnrolmentRow]]:
    """Every row for these canonical addresses, by address, oldest first: whoever has the address now gets the mail,
    so what it got before counts, whoever had it then (G19)."""
    found: dict[str, list[EnrolmentRow]] = defaultdict(list)
    query = select(enrolments).where(among(tx, enrolments.c.address, sorted(set(addresses))))
    for row in tx.execute(query.order_by(enrolments.c.id)):
        found[row.address].append(row_of(row))
    return dict(found)


def in_a_journey(tx: Connection, person_ids: Collection[int]) -> set[int]:
    """Those of these people who may be in a journey, as far as the ledger can tell."""
    open_now = enrolments.c.state.in_(sorted(CONTACT)) & enrolments.c.left_at.is_(None)
    query = select(enrolments.c.person_id).where(among(tx, enrolments.c.person_id, sorted(set(person_ids))), open_now)
    return set(tx.execute(query).scalars())


def journeys_of(tx: Connection, person_ids: Collection[int]) -> list[str]:
    """The journeys that these people may be in, by name, as the ledger has it."""
    open_now = enrolments.c.state.in_(sorted(CONTACT)) & enrolments.c.left_at.is_(None)
    query = select(enrolments.c.journey).where(among(tx, enrolments.c.person_id, sorted(set(person_ids))), open_now)
    return sorted(set(tx.execute(query).scalars()))


def turned_away(tx: Connection, addresses: Collection[str]) -> list[EnrolmentRow]:
    """Rows for these canonical addresses that were refused before any call, and not noted as over; in order of id."""
    refused = (enrolments.c.state == S.REFUSED) & enrolments.c.called_at.is_(None) & enrolments.c.left_at.is_(None)
    query = select(enrolments).where(among(tx, enrolments.c.address, sorted(set(addresses))), refused)
    return [row_of(row) for row in tx.execute(query.order_by(enrolments.c.id))]


def made_since(tx: Connection, instant: datetime) -> int:
    """How many calls left at or after the instant, whatever became of them: what the caps count (G23).

    To count and call within a cap, take `engine.exclusive(tx, "contact")` first.
    """
    return tx.execute(
        select(func.count()).select_from(enrolments).where(enrolments.c.called_at >= instant)
    ).scalar_one()  # fmt: skip


def one(tx: Connection, enrolment_id: int) -> EnrolmentRow | None:
    """The row of this id; None when there is none."""
    row = tx.execute(select(enrolments).where(enrolments.c.id == enrolment_id)).first()
    return None if row is None else row_of(row)


def is_calling(tx: Connection, row: EnrolmentRow) -> bool:
    """Is this call still the claim's to make? Not when the person was erased, or the row taken over."""
    mine = (enrolments.c.id == row.id) & (enrolments.c.lease_token == row.token) & (enrolments.c.state == S.CALLING)
    return tx.execute(select(enrolments.c.id).where(mine)).first() is not None


def usual_day(tx: Connection, now: datetime) -> float | None:
    """Calls on a usual day, over the four weeks before this day; None while there is no usual: fewer than two weeks
    since the first call, or fewer than `USUAL_FROM` calls (G23)."""
    start, end = now - timedelta(days=29), now - timedelta(days=1)
    lately = enrolments.c.called_at.between(start, end)
    count, first = tx.execute(
        select(func.count(), func.min(enrolments.c.called_at)).select_from(enrolments).where(lately)
    ).one()
    if count < USUAL_FROM or end - first < timedelta(days=13):
        return None
    return float(count / max((end - first).total_seconds() / 86400, 1))


def hold_waiting(tx: Connection, why: str, now: datetime) -> int:
    """Hold whatever waits and nobody works on, until a release (G23); returns how many."""
    free = enrolments.c.state.in_([S.WANTED, S.CHECKED]) & (enrolments.c.lease_until <= database_now(tx))
    return _set_all(tx, free, S.HELD, why, now, passing_over=True)


def release_held(tx: Connection, words: str, now: datetime) -> int:
    """Let every held row be wanted again; returns how many."""
    return _set_all(tx, enrolments.c.state == S.HELD, S.WANTED, words, now)


def counts(tx: Connection) -> dict[EnrolmentState, int]:
    """How many rows are in each state."""
    found = {
        row[0]: row[1] for row in tx.execute(select(enrolments.c.state, func.count()).group_by(enrolments.c.state))
    }
    return {state: found.get(state.value, 0) for state in S}


def held_by_journey(tx: Connection) -> dict[str, int]:
    """How many rows are held, by journey."""
    query = select(enrolments.c.journey, func.count()).where(enrolments.c.state == S.HELD)
    return dict(tx.execute(query.group_by(enrolments.c.journey).order_by(enrolments.c.journey)).all())


def by_state(tx: Connection, state: EnrolmentState, *, after: int = 0, limit: int = 100) -> list[EnrolmentRow]:
    """Rows in this state with ids above `after`, in order of id."""
    query = select(enrolments).where(enrolments.c.state == state, enrolments.c.id > after)
    return [row_of(row) for row in tx.execute(query.order_by(enrolments.c.id).limit(limit))]


_STATES: Mapping[str, EnrolmentState] = {state.value: state for state in S}


def row_of(row: Row[Any]) -> EnrolmentRow:
    return EnrolmentRow(
        row.id, row.person_id, row.journey, row.entry, S(row.state), row.vendor, row.address, row.trigger, row.score,
        row.reason_in, row.words, row.created_at, row.state_at, row.called_at, row.due_at, row.expires_at,
        row.lease_token, row.track, tuple(row.grounds), row.stage, row.left_at, row.reason_out, row.exit_state,
        row.variant,
    )  # fmt: skip


# --- kept out ------------------------------------------------------------------------------------------------------


def hold_out(tx: Connection, rows: Iterable[tuple[int, str]], now: datetime) -> None:
    """Note that these (person, journey) were kept out to measure what the journey does; the first note stays."""
    upsert(
        tx,
        holdouts,
        [{"person_id": person, "journey": journey, "at": now} for person, journey in sorted(set(rows))],
        key=["person_id", "journey"],
    )


def held_out(tx: Connection, person_ids: Collection[int]) -> set[tuple[Any, ...]]:
    """The (person, journey) pairs kept out, of these people."""
    query = select(holdouts.c.person_id, holdouts.c.journey)
    return set(tuples(tx, query.where(among(tx, holdouts.c.person_id, sorted(set(person_ids))))))
