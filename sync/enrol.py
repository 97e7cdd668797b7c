"""Matching people to journeys, once each: the ledger's sender (reliability G19-G24, patterns 5-7).

A row goes ``wanted -> checked -> calling`` before the first byte leaves, and ends as ``done``, ``refused`` or
``uncertain``. Whoever finds ``calling`` under a dead lease does not call: the row becomes ``uncertain`` and is settled
by the vendor's own proof, where the vendor can give one, or by a human.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeAlias

from connectors.base import EmailPlatform, Entry, MemberStatus
from leadbridge import clock, logs
from leadbridge.config.schema import Config
from leadbridge.errors import NeedsOperator, VendorError
from leadbridge.progress import Tell, unheard
from leadbridge.store import due, enrolments, lineage, offers, ranking, stops, suppressions
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store, exclusive
from leadbridge.types import EnrolmentState, SuppressionReason
from nurture import gate
from nurture.journeys import Matcher
from sync import bounds, retry, since_backup, verdicts
from sync.consent import add_consenting
from sync.holding import renewed
from sync.verdicts import BEGIN_WITHIN, Asked

log = logs.logger(__name__)


SIMULTANEOUS = 4
"""Calls made at the same time. Starts that cannot be repeated are committed in groups of as many."""

REPEATABLE_GROUP = 25
"""Starts committed as `calling` at once where the vendor can prove what became of each."""

BATCH = 500
"""Intents claimed at a time: few enough to be called within the minute the platform's word stays fresh."""

LEFT = {
    MemberStatus.UNSUBSCRIBED: SuppressionReason.UNSUBSCRIBED,
    MemberStatus.CLEANED: SuppressionReason.BOUNCED,
}
"""Statuses that tell us something new about the person: they become suppressions."""

CROSSED = "left while the call was under way"
"""What the ledger says of a crossing that could not be avoided (G22)."""

FINAL_STATE = {
    Entry.ENTERED: EnrolmentState.DONE,
    Entry.REFUSED: EnrolmentState.REFUSED,
    Entry.NOTHING_HAPPENED: EnrolmentState.CHECKED,
    Entry.UNCERTAIN: EnrolmentState.UNCERTAIN,
}


@dataclass(slots=True)
class Enrolled:
    """What became of the intents."""

    enrolled: int = 0
    refused: int = 0
    uncertain: int = 0
    cancelled: int = 0
    waiting: int = 0  # held back by a cap, or to be tried again
    reasons: Counter[str] = field(default_factory=Counter)
    paused: list[str] = field(default_factory=list)


def enrol(
    store: Store,
    platform: EmailPlatform,
    config: Config,
    *,
    owner: str,
    tell: Tell = unheard,
) -> Enrolled:
    """Work through the intents that may go now, and settle what earlier runs left open."""
    done = Enrolled()
    try:
        settle_uncertain(store, platform, Matcher(config.nurture), done)
        rules = bounds.rules_of(store, config)
        with ThreadPoolExecutor(SIMULTANEOUS) as pool:
            sender = Sender(store, platform, rules, owner, pool, done, tell)
            while sender.one_batch():
                pass
    except NeedsOperator as error:
        done.paused.append(str(error))
    except VendorError as error:
        log.warning("enrolment paused", vendor=error.vendor, why=error.problem, status=error.status)
        done.reasons[error.problem] += 1
    return done


def settle_uncertain(store: Store, platform: EmailPlatform, matcher: Matcher, done: Enrolled | None = None) -> int:
    """Ask the vendor about every uncertain enrolment it can prove; returns how many were settled.

    Proof of entry ends the row. Proof of no entry sends a repeatable start back to be checked again, because setting
    the same tag once more cannot enter anybody twice; a bare trigger stays uncertain for a human.
    """
    settled = 0
    with store.writing() as tx:
        enrolments.strand_expired(tx, clock.replaced())
    for row in _uncertain(store):
        way = matcher.way_now(row.trigger, row.journey, row.variant)
        proof = platform.entered(way, row.address, again=row.entry > 1)
        if proof is None or (proof is False and not platform.repeatable(way)):
            continue
        target = EnrolmentState.DONE if proof else EnrolmentState.CHECKED
        words = "the vendor shows the entry" if proof else "the vendor shows no entry"
        with store.writing() as tx:
            moved = enrolments.settle(tx, row.id, target, words, clock.now())
        settled += moved
        if done is not None and moved and proof:
            done.enrolled += 1
    return settled


def _uncertain(store: Store) -> Iterator[enrolments.EnrolmentRow]:
    """All of them, by pages: those that only a human can settle must not hide the others."""
    after = 0
    while True:
        with store.reading() as tx:
            rows = enrolments.by_state(tx, EnrolmentState.UNCERTAIN, after=after)
        if not rows:
            return
        yield from rows
        after = rows[-1].id


Answer: TypeAlias = tuple[Entry, str, NeedsOperator | None]
"""How a call ended, in which words, and whether an operator is needed."""


@retry.on_conflict  # the calls were made: what became of them must not be lost to a deadlock
def _settle(
    store: Store, rules: bounds.Rules, calling: Sequence[enrolments.EnrolmentRow], answers: Sequence[Answer]
) -> tuple[Mapping[int, SuppressionReason], Sequence[enrolments.Move], Collection[int]]:
    """Store how these calls ended; returns who has left meanwhile, the moves, and the rows that were still ours."""
    now = clock.now()
    with store.writing() as tx:
        left = suppressions.suppressed(tx, store.vault, [row.person_id for row in calling])
        moves = [
            _ending(row, entry, words, left.get(row.person_id))
            for row, (entry, words, _) in zip(calling, answers, strict=True)
        ]
        moved = enrolments.move_all(tx, moves, now)
        due.mark_due(tx, enrolments.in_a_journey(tx, left), now, due.Lane.HOT)  # who crossed is to be taken out again
        offers.offered(
            tx,
            [
                (row.person_id, asset, row.journey)
                for row, move in zip(calling, moves, strict=True)
                if move.to_state in enrolments.CONTACT and row.id in moved
                for asset in rules.offers.get(row.journey, ())
            ],
            now,
        )
    return left, moves, moved


def _ending(row: enrolments.EnrolmentRow, entry: Entry, words: str, left: SuppressionReason | None) -> enrolments.Move:
    """How a call ended. Who left while nothing had happened yet is cancelled at once, not tried again; else the row
    says that they left meanwhile (G22)."""
    target = FINAL_STATE[entry]
    if left is not None and target is EnrolmentState.CHECKED:
        target, words = EnrolmentState.CANCELLED, f"suppressed: {left.value}"
    elif left is not None and target in enrolments.CONTACT:
        words = f"{words}; {CROSSED}"
    return enrolments.Move(row.id, row.token, EnrolmentState.CALLING, target, words)


@dataclass(slots=True)
class Sender:
    """Sends the wishes of one store to one platform, batch by batch; `done` counts what became of them."""

    store: Store
    platform: EmailPlatform
    rules: bounds.Rules
    owner: str
    pool: Executor
    done: Enrolled
    tell: Tell = unheard
    simultaneous: int = SIMULTANEOUS

    def one_batch(self) -> bool:
        """One batch of intents, from claim to settled. True when there may be more to do."""
        now = clock.now()
        with self.store.writing() as tx:
            if not lineage.confirm(tx, now):
                log.error("contact stopped", why=lineage.WHY)
            enrolments.expire(tx, now)
            audience = ranking.contactable(tx)
            bounds.release_lapsed_canary(tx, self.rules.guards, now)
            allowed = bounds.allowance(tx, self.rules, audience, now)
            if not allowed.count and allowed.hold:
                held = enrolments.hold_waiting(tx, allowed.why, now)
                if held:
                    log.warning("contact held", why=allowed.why, rows=held)
            claims = enrolments.claim_enrolments(
                tx,
                (EnrolmentState.WANTED, EnrolmentState.CHECKED),
                limit=min(BATCH, allowed.count),
                owner=self.owner,
                now=clock.replaced(),
            )
            if not claims:
                found = enrolments.counts(tx)
                waits = (EnrolmentState.WANTED, EnrolmentState.CHECKED, EnrolmentState.HELD)
                self.done.waiting = sum(found[state] for state in waits)
                if self.done.waiting and not allowed.count:
                    log.warning("contact held back", why=allowed.why, rows=self.done.waiting)
                    self.done.reasons[allowed.why] += 1
        if not claims:
            return False
        with renewed(self.store, partial(enrolments.renew, rows=claims)):
            return self._ask_and_call(audience, claims)

    def _ask_and_call(self, audience: int, claims: Sequence[enrolments.EnrolmentRow]) -> bool:
        """What is done with claimed intents. True when something ended."""
        by_address: dict[str, enrolments.EnrolmentRow] = {}
        doubled = [claim for claim in claims if by_address.setdefault(claim.address, claim) is not claim]
        if doubled:  # two people with one address: the second is asked about once the first is settled
            with self.store.writing() as tx:
                enrolments.release(tx, doubled)
        progressed = False
        for portion in self.platform.read_members(list(by_address)):
            asked: Asked = [(by_address[address], member) for address, member in portion.items()]
            if self.rules.add_members:
                asked = add_consenting(self.store, self.platform, self.rules, audience, asked)
            for group in self._groups(asked):
                progressed |= self._call_group(audience, group)
                self.tell("enrolled", self.done.enrolled)
        return progressed

    def _groups(self, asked: Asked) -> Iterator[Asked]:
        """Those who cannot be called in one group, then the calls in groups that are committed and made together.

        What a kill leaves open is one group: small where a start cannot be repeated and each open one needs a human.
        """
        yield [pair for pair in asked if pair[1].status is not MemberStatus.SUBSCRIBED]
        calls = [pair for pair in asked if pair[1].status is MemberStatus.SUBSCRIBED]
        for repeatable, size in ((True, REPEATABLE_GROUP), (False, self.simultaneous)):
            sort = [pair for pair in calls if self.platform.repeatable(pair[0].way) is repeatable]
            for start in range(0, len(sort), size):
                yield sort[start : start + size]

    def _call_group(self, audience: int, group: Asked) -> bool:
        """Gate, call and settle one group. True when something ended, so that another batch is worth a look."""
        callable_rows = [row for row, member in group if member.status is MemberStatus.SUBSCRIBED]
        gone = since_backup.entered_meanwhile(self.store, self.platform, self.rules.nurture, callable_rows, self.pool)
        group = [pair for pair in group if pair[0].id not in gone]
        if not group:
            return bool(gone)
        calling, ended = self._commit_intent_to_call(audience, group)
        begin_by = time.monotonic() + BEGIN_WITHIN.total_seconds()
        answers = list(self.pool.map(partial(self._call, begin_by), calling))
        left, moves, moved = _settle(self.store, self.rules, calling, answers)
        for row, move, (entry, words, _) in zip(calling, moves, answers, strict=True):
            if row.id in moved:
                self._count(move, entry, words)
                ended |= move.to_state is not EnrolmentState.CHECKED  # those wait until their lease is over
            if row.person_id in left and entry in (Entry.ENTERED, Entry.UNCERTAIN):
                log.warning(CROSSED, enrolment=row.id, why=left[row.person_id].value)
                self.done.reasons[CROSSED] += 1
        for _, _, error in answers:
            if error is not None:
                raise error
        return ended

    def _commit_intent_to_call(self, audience: int, group: Asked) -> tuple[list[enrolments.EnrolmentRow], bool]:
        """Ask the gate a last time and commit `calling` for those who pass; settle or give back everyone else.

        Returns those to call now, and whether anybody else's row came to its end.
        """
        now = clock.now()
        people = [row.person_id for row, _ in group]
        go: list[enrolments.EnrolmentRow] = []
        back: list[tuple[datetime | None, enrolments.EnrolmentRow]] = []  # when to ask again; none: at once
        ends: list[enrolments.Move] = []
        with self.store.writing() as tx:
            exclusive(tx, "contact")  # counting and calling within a cap is one act, over all workers
            allowed = bounds.allowance(tx, self.rules, audience, now).count
            left = [(row.address, LEFT[m.status], row.vendor, m.read_at) for row, m in group if m.status in LEFT]
            if left:
                suppressions.hold(tx, {*people, *suppressions.owners(tx, [address for address, *_ in left])})
            suppressed = suppressions.suppressed(tx, self.store.vault, people)
            enrolments.hold(tx, [row for row, _ in group])
            known = lead_store.people(tx, people)
            rivals = enrolments.at_addresses(tx, [row.address for row, _ in group])
            for row, member in group:
                if any(verdicts.came_first(other, row) for other in rivals.get(row.address, ())):
                    verdict = gate.Verdict(go=False, why="somebody else with this address was contacted meanwhile")
                else:
                    person = known.get(row.person_id)
                    verdict = verdicts.verdict(
                        row, member, person, suppressed.get(row.person_id), now, self.rules.guards.quiet_hours
                    )
                if verdict.go and len(go) < allowed:
                    go.append(row)
                elif verdict.go or not verdict.final:
                    back.append((verdict.again, row))
                else:
                    refused = member.status is not MemberStatus.SUBSCRIBED
                    target = EnrolmentState.REFUSED if refused else EnrolmentState.CANCELLED
                    ends.append(enrolments.Move(row.id, row.token, row.state, target, verdict.why))
            wanted = [row for row in go if row.state is EnrolmentState.WANTED]
            checked = [enrolments.Move(row.id, row.token, row.state, EnrolmentState.CHECKED) for row in wanted]
            enrolments.move_all(tx, checked, now)
            calls = [enrolments.Move(row.id, row.token, EnrolmentState.CHECKED, EnrolmentState.CALLING) for row in go]
            calling = enrolments.move_all(tx, calls, now)
            ended = enrolments.move_all(tx, ends, now)
            enrolments.fold(tx, ended, now)
            verdicts.give_back(tx, back, now)
            suppressions.suppress(tx, self.store.vault, left, now)
        for move in ends:
            if move.id in ended:
                self.done.refused += move.to_state is EnrolmentState.REFUSED
                self.done.cancelled += move.to_state is EnrolmentState.CANCELLED
                self.done.reasons[move.words] += 1
        return [row for row in go if row.id in calling], bool(ended)

    def _call(self, begin_by: float, row: enrolments.EnrolmentRow) -> Answer:
        if time.monotonic() > begin_by:
            return Entry.NOTHING_HAPPENED, "the platform is slow: not begun in time", None
        with self.store.reading() as tx:  # whatever came while the call waited for its turn counts (G22, G24, G25)
            left = suppressions.suppressed(tx, self.store.vault, [row.person_id])
            stop = stops.stopped(tx, stops.CONTACT)
            mine = enrolments.is_calling(tx, row)
        if left:
            return Entry.NOTHING_HAPPENED, "left before the call began", None
        if stop or not mine:
            return Entry.NOTHING_HAPPENED, f"contact is {stop}" if stop else "no longer ours to call", None
        try:
            entry, words = self.platform.enrol(row.way, row.address, again=row.entry > 1)
        except NeedsOperator as error:  # turned away at the vendor's door: proven that nothing happened
            return Entry.NOTHING_HAPPENED, error.problem, error
        except VendorError as error:
            return Entry.UNCERTAIN, error.problem, None
        return entry, words, None

    def _count(self, move: enrolments.Move, entry: Entry, words: str) -> None:
        if move.to_state is EnrolmentState.CANCELLED:
            self.done.cancelled += 1
            self.done.reasons[move.words] += 1
            return
        match entry:
            case Entry.ENTERED:
                self.done.enrolled += 1
            case Entry.REFUSED:
                self.done.refused += 1
                self.done.reasons[words] += 1
            case Entry.UNCERTAIN:
                self.done.uncertain += 1
            case Entry.NOTHING_HAPPENED:
                self.done.waiting += 1
                self.done.reasons[words] += 1
