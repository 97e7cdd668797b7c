"""What became of one person, in one list: scores, stages, journeys, hand-offs. Reads the store only."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from leadbridge import addresses
from leadbridge.store import enrolments, hand_offs
from leadbridge.store import leads as lead_store
from leadbridge.store import scores as score_store
from leadbridge.store.engine import Store
from leadbridge.types import EnrolmentState, PersonId
from scoring.explain import reasons

MOST_SCORES = 200


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that became of the person, and why."""

    at: datetime
    what: str  # score, stage, buyer's journey, journey, hand-off
    said: str
    rules: str = ""  # hash of those that gave the score, which the history and `explain` name too


def timeline(store: Store, email: str) -> list[Event] | None:
    """Everything, oldest first (of scores the newest 200 changes); None when nobody has the address."""
    canonical = addresses.canonical(email)
    if canonical is None:
        return None
    with store.reading() as tx:
        person = lead_store.person_by_email(tx, canonical)
        if person is None:
            return None
        found = [*_scores(tx, person), *_stages(tx, person), *_journeys(tx, person), *_hand_offs(tx, person)]
    return sorted(found, key=lambda event: event.at)


def _scores(tx: Connection, person: PersonId) -> Iterator[Event]:
    for change in score_store.score_changes(tx, person, limit=MOST_SCORES):
        if change.value is None:
            said = "does not apply any more"
        else:
            grade = f" {change.grade}" if change.grade else ""
            said = f"{change.value}{grade}: {reasons(change.contributions)}"
        yield Event(change.at, f"score {change.name}", said, change.model)


def _stages(tx: Connection, person: PersonId) -> Iterator[Event]:
    stage = phase = None
    for at, stage_now, phase_now, cause in score_store.stage_changes(tx, person):
        if stage_now != stage:
            yield Event(at, "stage", f"{stage_now or 'none'}" + (f": {cause}" if cause else ""))
        if phase_now != phase:
            yield Event(at, "buyer's journey", phase_now or "none")
        stage, phase = stage_now, phase_now


def _journeys(tx: Connection, person: PersonId) -> Iterator[Event]:
    for row in enrolments.history(tx, [person]).get(person, []):
        what = f"journey {row.journey}"
        yield Event(row.created_at, what, "wanted" + (f": {row.reason_in}" if row.reason_in else ""))
        if row.state is not EnrolmentState.WANTED:
            yield Event(row.state_at, what, row.state.value + (f": {row.words}" if row.words else ""))
        if row.left_at is not None:
            over = "left" if row.state in enrolments.CONTACT else "not so any more"
            yield Event(row.left_at, what, over + (f": {row.reason_out}" if row.reason_out else ""))


def _hand_offs(tx: Connection, person: PersonId) -> Iterator[Event]:
    for row in hand_offs.of_person(tx, person):
        what = row.rule.replace("_", " ")
        ending = " ".join(word for word in (row.outcome, f"({row.reason})" if row.reason else "") if word)
        for at, said in (
            (row.decided_at, "decided"),
            (row.opened_at, f"given to {row.route or 'sales'}"),
            (row.accepted_at, "accepted"),
            (row.touched_at, f"in touch: {row.touched_by or ''}"),
            (row.breached_at, "nobody in touch in time"),
            (row.closed_at, f"over: {ending or row.words}"),
        ):
            if at is not None:
                yield Event(at, what, said)
