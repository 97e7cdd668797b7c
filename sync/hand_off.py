"""People handed to people, the decision: it commits with the score that it follows from (reliability pattern 2).

What is decided here is worked by `sync.receivers` and looked after by `sync.follow_up`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from leadbridge.config.hand_off import Care, HandOff, Return
from leadbridge.store import activities, hand_offs
from leadbridge.store import leads as lead_store
from leadbridge.store import scores as score_store
from leadbridge.types import ActivityKind, LifecycleStage, PersonId
from nurture.hand_off import HAND_OFF, may_begin
from sync.outlook import Outlook


def decide(
    tx: Connection,
    config: HandOff | None,
    rows: Mapping[PersonId, lead_store.PersonRow],
    outlooks: Sequence[Outlook],
    at: datetime,
    low_commitment: Collection[ActivityKind] = (),
) -> dict[PersonId, datetime]:
    """Wish for what is asked, end what is over. Returns who has to be looked at again, and when: at once where this
    changed what conditions see, else when a rest is over."""
    if config is None:
        return {}
    ids = [outlook.person_id for outlook in outlooks]
    known = hand_offs.latest(tx, ids)
    ready = [outlook.person_id for outlook in outlooks if HAND_OFF in outlook.asked.calls]
    only_low = activities.only_of(tx, ready, low_commitment) if ready and low_commitment else set()
    standings = score_store.standings(tx, ids)
    tasks = {HAND_OFF: config.task} | {care.name: care.task for care in config.care}
    wishes: list[hand_offs.Wish] = []
    endings: list[hand_offs.Ending] = []
    accepted: list[int] = []
    again: dict[PersonId, datetime] = {}
    for outlook in outlooks:
        person, asked = outlook.person_id, outlook.asked
        for rule in tasks:
            last = known.get((person, rule))
            if last is not None and last.state != hand_offs.CLOSED:
                ending = _ending(config, rule, outlook, rows[person], last, at)
                if ending is not None:
                    endings.append(ending)
                    again[person] = at
                elif asked.accepted and rule == HAND_OFF and last.state == hand_offs.OPEN and not last.accepted_at:
                    accepted.append(last.id)
                    again[person] = at
            elif rule == HAND_OFF and person in only_low:
                continue  # a follow is no wish to be called (pressure guard, N24)
            elif _begins(config, rule, outlook, last, standings.get(person), at):
                score = outlook.scores[0].value if outlook.scores else None
                wishes.append(hand_offs.Wish(person, rule, asked.calls[rule], score, task=tasks[rule] is not None))
            elif last is not None:
                later = [one for one in (last.rest_until, last.again_at) if one is not None and one > at]
                again |= {person: min(later)} if later else {}
    hand_offs.close(tx, endings, at)
    hand_offs.accept(tx, accepted, at)
    hand_offs.wish(tx, wishes, at)
    return again


def _begins(
    config: HandOff,
    rule: str,
    outlook: Outlook,
    last: hand_offs.HandOff | None,
    standing: score_store.Standing | None,
    at: datetime,
) -> bool:
    asked = outlook.asked
    if not asked.calls.get(rule) or (rule == HAND_OFF and (asked.rejected or asked.lost)):
        return False
    cooldown = config.cooldown if rule == HAND_OFF else care_of(config, rule).cooldown
    return may_begin(
        last_closed=last.closed_at if last else None,
        last_opened=last.opened_at if last else None,
        again_at=last.again_at if last else None,
        cooldown=timedelta(seconds=cooldown),
        since=standing.stage_since if standing and rule == HAND_OFF else None,
        now=at,
    )


def _ending(
    config: HandOff,
    rule: str,
    outlook: Outlook,
    row: lead_store.PersonRow,
    last: hand_offs.HandOff,
    at: datetime,
) -> hand_offs.Ending | None:
    """How a hand-off that is alive ends now, if it does."""
    asked = outlook.asked
    if rule == HAND_OFF:
        if outlook.stage in (LifecycleStage.CUSTOMER, LifecycleStage.EVANGELIST):
            return hand_offs.Ending(last.id, hand_offs.WON)
        if last.state == hand_offs.OPEN:
            for outcome, shows, how in (
                (hand_offs.REJECTED, asked.rejected, config.rejected),
                (hand_offs.LOST, asked.lost, config.lost),
            ):
                if shows and how is not None:
                    return _returned(last, outcome, how, row, at)
    if last.state == hand_offs.WAITING and not asked.calls.get(rule):
        return hand_offs.Ending(last.id, hand_offs.WITHDRAWN, words="does not fit any more")
    return None


def _returned(
    last: hand_offs.HandOff, outcome: str, how: Return, row: lead_store.PersonRow, at: datetime
) -> hand_offs.Ending:
    """Sales gives the person back: the reason is kept, as a label for the model too (N13)."""
    told = row.attributes.get(how.reason) if how.reason else None
    return hand_offs.Ending(
        last.id,
        outcome,
        None if told is None else str(told),
        rest_until=at + timedelta(seconds=how.rest),
        again_at=at + timedelta(seconds=how.again_after),
    )


def paused(tx: Connection, config: HandOff | None, person_ids: Collection[int], at: datetime) -> dict[PersonId, str]:
    """Whom nurture leaves alone now, because somebody at the company has them; in which words."""
    if config is None:
        return {}
    rules = {care.name for care in config.care if care.pause_nurture}
    rules |= {HAND_OFF} if config.pause_nurture else set()
    return hand_offs.busy(tx, person_ids, rules, at) if rules else {}


def care_of(config: HandOff, rule: str) -> Care:
    return next(care for care in config.care if care.name == rule)
