"""From the decision to the receiver: who goes to whom, the task in the CRM, the alert (reliability patterns 2 and 4).

A task is asked for under its own key until it is known to be there, so that no hand-off makes two (G16, G19); an alert
is told at least once. Killed anywhere, the next round goes on where this one stood.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection

from connectors.base import Crm, Made, Outcome, SalesTask
from leadbridge import clock, logs
from leadbridge.config.hand_off import HandOff, Task
from leadbridge.errors import FeatureMissing, NeedsOperator, RetryLater, VendorError
from leadbridge.progress import Tell, unheard
from leadbridge.store import alerts as alert_store
from leadbridge.store import due, enrolments, hand_offs
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store, exclusive
from leadbridge.types import PersonId, RecordRef
from nurture.hand_off import HAND_OFF, assign, routes_of
from sync import alerts, retry
from sync.briefs import Brief, briefs
from sync.follow_up import follow_up, wish_alerts
from sync.hand_off import care_of
from sync.outlook import Scorer

log = logs.logger(__name__)

WEEK = timedelta(days=7)
BATCH = 100

FIRST_RETRY = timedelta(seconds=60)
"""Before a task that may have been made is asked for again: by then it can be found (`Crm.create_tasks`)."""

PASSED_OVER = 4
"""How many times the free places are looked through for somebody whom a receiver with room takes."""


@dataclass(slots=True)
class Handed:
    """What was done about people for people."""

    opened: int = 0
    tasks: int = 0
    told: int = 0
    overdue: int = 0
    waiting: int = 0  # tasks and alerts to be tried again
    refused: int = 0  # tasks the CRM does not take
    paused: list[str] = field(default_factory=list)


def work(
    store: Store,
    scorer: Scorer,
    crms: Sequence[Crm],
    *,
    owner: str,
    tell: Tell = unheard,
) -> Handed:
    """Give out who waits, make tasks, look after what is open, tell. Killed anywhere, it goes on where it stood."""
    done = Handed()
    config = scorer.config.hand_off
    if config is None:
        return done
    worker = _Worker(store, scorer, config, {crm.vendor: crm for crm in crms}, owner, done)
    worker.give_out()
    try:
        worker.make_tasks()
        done.overdue = follow_up(store, config, worker.crms, owner=owner)
    except NeedsOperator as error:
        done.paused.append(str(error))
    except VendorError as error:
        log.warning("hand-off waits", vendor=error.vendor, operation=error.operation, why=error.problem)
        done.waiting += 1
    done.told, missed = alerts.send(store, config, worker.render, owner=owner)
    done.waiting += missed
    tell("handed over", done.opened)
    return done


@dataclass(slots=True)
class _Worker:
    store: Store
    scorer: Scorer
    config: HandOff
    crms: Mapping[str, Crm]
    owner: str
    done: Handed

    # --- to a receiver

    def give_out(self) -> None:
        """Each receiver takes whom it has room for, the highest score first; nurture lets go of them."""
        limits = {HAND_OFF: self.config.per_week} | {care.name: care.per_week for care in self.config.care}
        for rule, most in limits.items():
            now = clock.now()
            with self.store.writing() as tx:
                exclusive(tx, "hand_off")
                taken = hand_offs.opened_since(tx, rule, now - WEEK)
                free = most - sum(taken.values())
                waiting = hand_offs.waiting(tx, rule, limit=free * PASSED_OVER) if free > 0 else []
                routes = (
                    {one.name: one.per_week for one in routes_of(self.config)} if rule == HAND_OFF else {rule: most}
                )
                room = {name: None if limit is None else limit - taken.get(name, 0) for name, limit in routes.items()}
                given = assign([(row.id, row.fits) for row in waiting], room, free)
                if given:
                    self._open(tx, rule, {row.id: row for row in waiting}, given, now)

    def _open(
        self,
        tx: Connection,
        rule: str,
        rows: Mapping[int, hand_offs.HandOff],
        given: Sequence[tuple[int, str]],
        now: datetime,
    ) -> None:
        hand_offs.open_rows(tx, given, now)
        people = [rows[one].person_id for one, _ in given]
        wish_alerts(tx, self.config, [replace(rows[one], route=route) for one, route in given], alert_store.READY, now)
        if self.config.pause_nurture if rule == HAND_OFF else care_of(self.config, rule).pause_nurture:
            enrolments.cancel_waiting(tx, people, "handed over to somebody at the company", now)
        due.mark_due(tx, people, now, due.Lane.NORMAL)
        self.done.opened += len(given)

    # --- tasks

    def make_tasks(self) -> None:
        while True:
            now = clock.now()
            with self.store.writing() as tx:
                claims = hand_offs.claim_tasks(tx, limit=BATCH, owner=self.owner, now=now)
            if not claims:
                return
            by_vendor: dict[str, list[tuple[hand_offs.HandOff, SalesTask]]] = defaultdict(list)
            made: dict[int, Made] = {}
            texts, refs = briefs(self.store, self.scorer, self.config, claims), self._refs(claims)
            for row in claims:
                ref = refs.get(row.person_id)
                if ref is None or row.id not in texts:
                    made[row.id] = Made(Outcome.GONE, reason="no record in a CRM")
                else:
                    by_vendor[ref.vendor].append((row, self._task(row, ref, texts[row.id])))
            wait = retry.LONGEST
            try:
                for vendor, asked in by_vendor.items():
                    answers = self._create(self.crms[vendor], [task for _, task in asked])
                    made |= {row.id: answers[task.key] for row, task in asked}
            except RetryLater:
                wait = FIRST_RETRY
                raise
            finally:  # whatever the vendor does: what is known is kept, the rest is tried again
                self._settle_tasks(claims, made, refs, wait)

    def _create(self, crm: Crm, tasks: Sequence[SalesTask]) -> dict[str, Made]:
        """Make these tasks; one that is refused with its owner is nobody's, rather than not made at all."""
        try:
            made = dict(crm.create_tasks(tasks))
        except FeatureMissing as missing:
            return {task.key: Made(Outcome.REFUSED, reason=missing.problem) for task in tasks}
        refused = [task for task in tasks if task.owner and made[task.key].outcome is Outcome.REFUSED]
        if refused:
            bare = [SalesTask(task.key, task.ref, task.subject, task.body, task.due_at) for task in refused]
            made |= crm.create_tasks(bare)
            log.warning("tasks made without their owner", count=len(bare), why=made[bare[0].key].reason or "refused")
        return made

    def _settle_tasks(
        self,
        claims: Sequence[hand_offs.HandOff],
        made: Mapping[int, Made],
        refs: Mapping[PersonId, RecordRef],
        wait: timedelta,
    ) -> None:
        """`wait`: before those are tried again of whom nothing is known, the call as a whole having failed."""
        now = clock.now()
        changes: list[tuple[hand_offs.HandOff, dict[str, Any]]] = []
        for row in claims:
            answer, ref = made.get(row.id), refs.get(row.person_id)
            again = now + wait
            if answer is None:
                state = hand_offs.WANTED
            elif answer.outcome is Outcome.WRITTEN:
                state, again = hand_offs.MADE, now
            else:
                soon = retry.next_try(row.attempts, now) if answer.outcome is not Outcome.REFUSED else None
                state = hand_offs.WANTED if soon else hand_offs.REFUSED
                again = max(soon, now + FIRST_RETRY) if soon else now
            values = {
                "task": state,
                "task_vendor": ref.vendor if ref else None,
                "task_id": answer.task_id or None if answer else None,
                "words": answer.reason if answer else "the CRM could not be asked",
                "due_at": again,
                "attempts": row.attempts if answer and state == hand_offs.WANTED else 0,
            }
            changes.append((row, values))
            self.done.tasks += state == hand_offs.MADE
            self.done.waiting += state == hand_offs.WANTED
            self.done.refused += state == hand_offs.REFUSED
        with self.store.writing() as tx:
            hand_offs.settle(tx, changes)

    def _task(self, row: hand_offs.HandOff, ref: RecordRef, brief: Brief) -> SalesTask:
        given = self._task_of(row.rule) or Task()
        opened = row.opened_at or clock.now()
        return SalesTask(
            row.key, ref, brief.title, brief.text, opened + timedelta(seconds=given.within), self._owner(row, brief.row)
        )

    def _task_of(self, rule: str) -> Task | None:
        return self.config.task if rule == HAND_OFF else care_of(self.config, rule).task

    def _owner(self, row: hand_offs.HandOff, person: lead_store.PersonRow) -> str | None:
        """The receiver's own user where there is one, else the person's."""
        if row.rule == HAND_OFF:
            fixed = next((route.owner for route in routes_of(self.config) if route.name == row.route), None)
        else:
            fixed = care_of(self.config, row.rule).owner
        given = self._task_of(row.rule)
        named = person.attributes.get(given.owner) if given and given.owner else None
        return fixed or (None if named is None else str(named))

    def _refs(self, rows: Sequence[hand_offs.HandOff]) -> dict[PersonId, RecordRef]:
        """The record each person's task goes to: in the first CRM that knows them."""
        with self.store.reading() as tx:
            found = lead_store.records_of(tx, {row.person_id for row in rows})
        order = list(self.crms)
        return {
            person: min(known, key=lambda record: (order.index(record.ref.vendor), record.ref)).ref
            for person, records in found.items()
            if (known := [record for record in records if record.ref.vendor in self.crms])
        }

    def render(self, claims: Sequence[alert_store.Alert]) -> dict[int, tuple[alerts.Text, Sequence[SecretStr]]]:
        """What these alerts say, and where they may go (`sync.alerts.Render`)."""
        with self.store.reading() as tx:
            people = {claim.person_id for claim in claims}
            rows = {row.id: row for person in sorted(people) for row in hand_offs.of_person(tx, person)}
        told = [rows[claim.hand_off_id] for claim in claims if claim.hand_off_id in rows]
        texts = briefs(self.store, self.scorer, self.config, told)
        found = {}
        for claim in claims:
            row = rows.get(claim.hand_off_id)
            over = claim.kind == alert_store.OVERDUE and (row is None or row.touched_at or row.state != hand_offs.OPEN)
            if row is None or over or row.id not in texts:
                continue
            brief = texts[row.id]
            title = f"Nobody was in touch yet: {brief.title}" if claim.kind == alert_store.OVERDUE else brief.title
            found[claim.id] = (
                alerts.Text(title, brief.text),
                alerts.channels(self.config, row.rule, row.route, claim.kind),
            )
        return found
