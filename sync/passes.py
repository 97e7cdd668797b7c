"""A pass over everybody: after a change of rules, and whenever it is asked for.

Everybody in a span of ids is scored at once, in columns; person by person goes on only for those of whom something
moved, and they are stored like after any other rescoring, a batch at a time, so that no transaction is long. A span is
taken by whichever worker is free; killed anywhere, whoever has not been stored is found to have moved again. A span
at which workers die again and again is handed on to single rescoring, which finds out who it is (G8).

Not compared are the reasons beside a score that stayed, and journeys: whose rest ended, and who fits another one, is
seen to when a person is looked at next. When the journeys themselves change, everybody is looked at.
"""

import hashlib
import json
import math
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from leadbridge import clock, logs
from leadbridge.columns import Mask
from leadbridge.config.schema import Config
from leadbridge.errors import LeadbridgeError
from leadbridge.progress import Tell, unheard
from leadbridge.store import activities as activity_store
from leadbridge.store import bulk, due, hand_offs, leases, packs
from leadbridge.store import leads as lead_store
from leadbridge.store import passes as pass_store
from leadbridge.store.text import from_micros
from leadbridge.types import LifecycleStage, PersonId
from nurture import policy
from nurture.hand_off import HAND_OFF
from scoring.engine import ScoreFrame
from scoring.frames import KIND_CODES, Activities, Documents, people_frame
from scoring.lifecycle import Stay
from sync import rescore, retry, wiring
from sync.counting import add
from sync.holding import renewed
from sync.loading import Loaded, facts, noted_facts, with_colleagues
from sync.outlook import STANDING, Scorer, View
from sync.uncollected import uncollected
from sync.wiring import Parts

log = logs.logger(__name__)

SAVERS = 2
"""Batches stored at once where the database serves several writers. Each of them is most of the time with it."""

MARKED = 5_000
"""People marked in one transaction: the door waits for the store."""

_DECIDES: dict[str, Any] = {
    "stages": True, "buyer_journey": True, "segments": True, "personas": True, "behaviour": True, "questions": True,
    "company": True, "consent": {"objection"},
}  # fmt: skip
"""Parts of the file, beside the scores, from which it follows what people are."""

_NO_VALUE = -(2**15)  # no score is stored
_NO_GRADE = -1


def ask(parts: Parts) -> int:
    """Ask for a pass over everybody; returns the number of spans it is cut into."""
    with parts.store.writing() as tx:
        return pass_store.ask(tx, clock.now())


def note_rules(parts: Parts) -> None:
    """Once per process: ask for a pass if the rules are others than those the last one was asked for under."""
    if parts.rules_noted:
        return
    rules = rules_digest(parts.scorer)
    with parts.store.reading() as tx:
        known = pass_store.rules_noted(tx)
    if known != rules:
        with parts.store.writing() as tx:
            if pass_store.ask_for_rules(tx, rules, clock.now()):
                log.info("rules changed: everybody is scored anew")
    parts.rules_noted = True


def note_journeys(parts: Parts) -> None:
    """Once per process: have everybody looked at if the journeys are others than before. Who fitted none, and whose
    scores do not move, may fit one now, and is looked at by itself only within a month."""
    if parts.journeys_noted:
        return
    journeys = policy.journeys_digest(parts.config)
    with parts.store.reading() as tx:
        changed = pass_store.journeys_noted(tx) != journeys
        marking = changed and pass_store.somebody(tx)
    last = 0
    while marking:
        with parts.store.writing() as tx:
            people = lead_store.all_person_ids(tx, last, MARKED)
            due.mark_due(tx, people, clock.now(), due.Lane.BACKGROUND)
        marking, last = bool(people), max(people, default=last)
    if changed:
        with parts.store.writing() as tx:
            pass_store.note_journeys(tx, journeys)
    parts.journeys_noted = True


def rules_digest(scorer: Scorer) -> str:
    """Content hash of all that a score, a stage, a phase or a segment follows from."""
    config = scorer.config.model_dump(mode="json", include=_DECIDES)
    config["types"] = scorer.types
    text = json.dumps([[model.hash for model in scorer.models], config], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def everybody(parts: Parts, *, processes: int = 1, tell: Tell = unheard) -> rescore.Rescored:
    """Go through everybody, now: with `processes` beyond one in as many processes of their own.

    They share the work span by span, and take part in a pass that others are at. Killed, or should one of them fail,
    what is left is taken up by the next worker. Raises what one of them raised.
    """
    processes = min(processes, ask(parts))
    done = rescore.Rescored()
    if processes <= 1:
        while not parts.stop.is_set() and step(parts, done, tell=tell):
            pass
        return done
    apart = multiprocessing.get_context("spawn")  # a store must be opened after a fork, not before
    with ProcessPoolExecutor(processes, mp_context=apart) as pool:
        for work in as_completed([pool.submit(_apart, parts.config) for _ in range(processes)]):
            add(done, work.result())
            tell("seen", done.seen)
    return done


def _apart(config: Config) -> rescore.Rescored:
    """What one of several processes does."""
    parts, done = wiring.build(config, migrate=False), rescore.Rescored()
    starter = multiprocessing.parent_process()
    try:
        while (starter is None or starter.is_alive()) and step(parts, done):
            pass
    finally:
        parts.close()
    return done


def step(parts: Parts, done: rescore.Rescored, *, tell: Tell = unheard) -> bool:
    """Go through the next span that is free; False when there is none. `done` counts on."""
    with parts.store.writing() as tx:
        claim = pass_store.claim(tx, parts.owner)
    if claim is None:
        return False
    try:
        with renewed(parts.store, lambda tx: pass_store.renew(tx, claim)):
            if claim.attempts > leases.GIVEN_UP:
                log.error("span given up: the worker ended each time", span=claim.span)
                done.handed_on += _all_one_by_one(parts, claim.span, clock.now())
            else:
                with uncollected():
                    _go_through(parts, claim.span, done, tell)
    except Exception:  # we are to stop, or the store cannot be used now
        with parts.store.writing() as tx:
            pass_store.release(tx, claim)
        raise
    with parts.store.writing() as tx:
        pass_store.settle(tx, claim)
    return True


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a span, and what tells whether those who moved change, or are marked, until it is stored."""

    loaded: Loaded
    view: View
    at: datetime
    changed_at: Mapping[PersonId, int]
    notes: Mapping[PersonId, int]
    due: Mapping[PersonId, tuple[int, int]]


def _go_through(parts: Parts, span: int, done: rescore.Rescored, tell: Tell) -> None:
    store, scorer, at = parts.store, parts.scorer, clock.now()
    try:
        with store.reading() as tx:
            first, last = packs.ids_of(span)
            standings = bulk.current_standings(tx, first, last)
            loaded, pack = load(tx, scorer, span, standings, at)
            loaded.people = with_colleagues(tx, scorer, loaded.people, at)
            view = scorer.view(loaded.people, loaded.activities, loaded.stages, at)
            rows = moved(view, bulk.current_scores(tx, first, last), standings)
            ids = view.ids[rows].tolist()
            read = _Read(
                loaded,
                view,
                at,
                lead_store.changed_at(tx, ids),
                activity_store.noted_changes(tx, ids),
                due.standing(tx, ids),
            )
    except LeadbridgeError:
        raise  # the store: nothing can be worked now
    except Exception:
        log.exception("span cannot be scored at once", span=span)
        done.handed_on += _all_one_by_one(parts, span, at)
        return
    done.seen += len(view.ids)
    _save_all(parts, read, rows, done, tell)
    tell("seen", done.seen)
    if pack is not None:
        with store.writing() as tx:
            packs.keep(tx, pack)


def _save_all(parts: Parts, read: _Read, rows: NDArray[np.intp], done: rescore.Rescored, tell: Tell) -> None:
    """Store those who moved, a batch at a time; where the database serves several writers it stores one batch while
    the next is worked out."""
    batches = [rows[start : start + rescore.BATCH] for start in range(0, len(rows), rescore.BATCH)]
    if not batches:
        return
    _ = read.view.unchanged_until  # for all at once, before several ask for it
    save = partial(_save_or_hand_on, parts, read)
    with ThreadPoolExecutor(1 if parts.store.one_writer else SAVERS) as pool:
        for part in pool.map(save, batches):
            add(done, part)
            tell("scored", done.people)


def _save_or_hand_on(parts: Parts, read: _Read, batch: NDArray[np.intp]) -> rescore.Rescored:
    try:
        return _save(parts, read, batch)
    except LeadbridgeError:
        raise
    except Exception:
        log.exception("batch cannot be stored at once", people=len(batch))
        return rescore.Rescored(handed_on=_one_by_one(parts, read.view.ids[batch].tolist(), read.at))


@retry.on_conflict
def _save(parts: Parts, read: _Read, batch: NDArray[np.intp]) -> rescore.Rescored:
    """Store a batch of those who moved; who changed meanwhile, or is held by another worker, is left to that."""
    outlooks = parts.scorer.outlooks(read.view, batch)
    ids = read.view.ids[batch].tolist()
    part = rescore.Rescored()
    with parts.store.writing() as tx:
        changed, notes = lead_store.hold(tx, ids), activity_store.noted_changes(tx, ids)
        same = [
            person
            for person, when in changed.items()
            if when == read.changed_at.get(person) and notes.get(person) == read.notes.get(person)
        ]
        held = due.seize(tx, {person: read.due.get(person) for person in same})
        loaded = replace(read.loaded, rows=lead_store.People(tx, ids))
        rescore.save(tx, parts, loaded, outlooks, held, read.at, part)
    return part


def _all_one_by_one(parts: Parts, span: int, at: datetime) -> int:
    """The same as `_one_by_one` for everybody in a span."""
    with parts.store.reading() as tx:
        people = bulk.people(tx, *packs.ids_of(span)).id
    return _one_by_one(parts, people, at)


def _one_by_one(parts: Parts, people: Sequence[PersonId], at: datetime) -> int:
    """Somebody among these cannot be scored: as due, they are found and set aside (G8). Returns how many are due."""
    for start in range(0, len(people), rescore.BATCH):
        with parts.store.writing() as tx:
            due.mark_due(tx, people[start : start + rescore.BATCH], at, due.Lane.BACKFILL)
    return len(people)


# --- in columns ----------------------------------------------------------------------------------------------------


def load(
    tx: Connection, scorer: Scorer, span: int, standings: bulk.StandingRows, at: datetime
) -> tuple[Loaded, packs.Pack | None]:
    """Everybody in a span, without the rows of single people; and a pack of their activities, if one is to be kept."""
    first, last = packs.ids_of(span)
    found = bulk.people(tx, first, last)
    noted = noted_facts(tx, scorer, found.id, at)
    known = [
        {**facts(attributes, email, canonical, left), **noted[person]}
        for person, attributes, email, canonical, left in zip(
            found.id, found.attributes, found.email, found.canonical, found.opted_out, strict=True
        )
    ]
    if scorer.config.hand_off is not None:
        standing = hand_offs.standing(tx, found.id, HAND_OFF, at)
        for fact, person in zip(known, found.id, strict=True):
            if person in standing:
                fact |= zip(STANDING, standing[person], strict=True)
    people = people_frame(found.id, known, scorer.types)
    done, pack = packs.read(tx, span)
    codes = np.array([KIND_CODES[kind] for kind in done.kinds], np.int8)
    activities = Activities.by_id(
        people, done.person_id, codes[done.kind], done.at, Documents(done.document, done.documents)
    )
    stays = {
        person: Stay(LifecycleStage(stage), from_micros(since))
        for person, stage, since in zip(standings.person_id, standings.stage, standings.since, strict=True)
        if stage is not None
    }
    return Loaded({}, people, activities, [stays.get(person) for person in found.id]), pack


def moved(view: View, scores: bulk.ScoreRows, standings: bulk.StandingRows) -> NDArray[np.intp]:
    """Rows of those in view for whom storing would change a score, a stage, a phase or a segment, or who are asked
    to be looked after by somebody at the company."""
    found = _standing_moved(view, standings) | view.judged.called()
    names = np.array(scores.name)
    for frame in view.frames:
        chosen = np.flatnonzero(names == frame.model.name) if len(names) else np.zeros(0, np.intp)
        found |= _score_moved(frame, scores, chosen)
    return np.flatnonzero(found)


def _score_moved(frame: ScoreFrame, stored: bulk.ScoreRows, chosen: NDArray[np.intp]) -> Mask:
    n, picks = len(frame.ids), chosen.tolist()
    ids = np.array([stored.person_id[pick] for pick in picks], np.int64)
    row, here = _rows(frame.ids, ids)
    value, model = np.full(n, _NO_VALUE), np.zeros(n, np.bool_)
    value[row] = np.array([_NO_VALUE if (one := stored.value[pick]) is None else one for pick in picks])[here]
    model[row] = np.array([stored.model[pick] == frame.model.hash for pick in picks], np.bool_)[here]
    letters = {letter: place for place, (letter, _) in enumerate(frame.model.grades)}
    grade = np.full(n, _NO_GRADE)
    grade[row] = np.array([_grade(letters, stored.grade[pick]) for pick in picks])[here]
    differs: Mask = (value != frame.value) | (grade != frame.grade) | ~model
    for name, points in frame.categories.items():
        whole = np.zeros(n)
        whole[row] = np.array([stored.categories[pick].get(name, math.inf) for pick in picks])[here]
        differs |= np.rint(whole) != np.rint(points)
    differs[~frame.applies] = (value != _NO_VALUE)[~frame.applies]
    return differs


def _grade(letters: Mapping[str, int], stored: str | None) -> int:
    return _NO_GRADE if stored is None else letters.get(stored, len(letters))


def _standing_moved(view: View, stored: bulk.StandingRows) -> Mask:
    row, here = _rows(view.ids, np.array(stored.person_id, np.int64))
    found = np.ones(len(view.ids), np.bool_)
    names, inside = list(view.inside), [mask.tolist() for mask in view.inside.values()]
    for place, old in zip(row.tolist(), np.flatnonzero(here).tolist(), strict=True):
        found[place] = (
            stored.stage[old] != view.stages[place]
            or stored.buyer_journey[old] != view.phases[place]
            or stored.company[old] != view.companies.key(place)
            or stored.segments[old] != [name for name, mask in zip(names, inside, strict=True) if mask[place]]
        )
    return found


def _rows(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.intp], Mask]:
    """Rows of the wanted ids that are among `ids` (rising), and which of the wanted those are."""
    row = np.searchsorted(ids, wanted)
    here = row < len(ids)
    here[here] = ids[row[here]] == wanted[here]
    return row[here], here
