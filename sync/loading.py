"""What is stored of people, as scoring takes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from sqlalchemy import Connection

from leadbridge import addresses
from leadbridge.store import activities as activity_store
from leadbridge.store import consents, hand_offs, history, offers
from leadbridge.store import leads as lead_store
from leadbridge.store import scores as score_store
from leadbridge.types import PersonId, Value
from nurture.hand_off import HAND_OFF
from scoring.company import of_others
from scoring.frames import KIND_CODES, Activities, Documents, People, people_frame
from scoring.lifecycle import Stay
from sync.outlook import OBJECTS, STANDING, Scorer

EDUCATION = "education"
"""Built-in field: share, in per cent, of the assets that teach which the person took up; unknown without any."""


@dataclass(slots=True)
class Loaded:
    """What is stored of a batch of people."""

    rows: Mapping[PersonId, lead_store.PersonRow]
    people: People
    activities: Activities
    stages: list[Stay | None]


def load(
    tx: Connection,
    scorer: Scorer,
    ids: Sequence[PersonId],
    at: datetime,
    pretend: Mapping[str, Value] | None = None,
    *,
    past: bool = False,
) -> Loaded:
    """What is stored of these people; `pretend` replaces attributes of all of them.

    With `past`, what was known of them at `at`, as far as the store remembers; of whom nothing was known is left out.
    """
    rows = _rows_at(tx, ids, at) if past else lead_store.people(tx, ids)
    known = [person for person in ids if person in rows]
    noted = noted_facts(tx, scorer, known, at)
    facts: dict[PersonId, dict[str, Value]] = {person: {**facts_of(rows[person]), **noted[person]} for person in known}
    if scorer.config.hand_off is not None:
        for person, found_at in hand_offs.standing(tx, known, HAND_OFF, at).items():
            facts[person] |= zip(STANDING, found_at, strict=True)
    people = people_frame(known, [{**facts[person], **(pretend or {})} for person in known], scorer.types)
    since = None if scorer.reach is None else at - scorer.reach
    found = activity_store.activities_of(tx, known, since)
    codes, documents = found.documents
    activities = Activities.by_id(
        people,
        np.array(found.person_id, np.int64),
        np.array([KIND_CODES[kind] for kind in found.kind], np.int8),
        np.array(found.micros, np.int64),
        Documents(np.array(codes, np.int32), documents),
    )
    stages = history.stages_at(tx, known, at) if past else score_store.stages_of(tx, known)
    stays = [Stay(*stages[person]) if person in stages else None for person in known]
    return Loaded(rows, with_colleagues(tx, scorer, people, at, past=past), activities, stays)


def with_colleagues(tx: Connection, scorer: Scorer, people: People, at: datetime, *, past: bool = False) -> People:
    """These people, with what the scores of their colleagues who are not among them amount to: as stored now, or with
    `past` as they stood at `at`."""
    company = scorer.config.company
    if company is None:
        return people
    found = scorer.companies(people.facts, at)
    without, names = people.ids.tolist(), list(company.scores)
    stored = score_store.company_scores(tx, sorted(found.keys), names, without, at if past else None)
    return replace(people, facts=people.facts.adding(of_others(found, stored)))


def _rows_at(tx: Connection, ids: Sequence[PersonId], at: datetime) -> dict[PersonId, lead_store.PersonRow]:
    return {
        person: lead_store.PersonRow(person, known.email, known.attributes, known.opted_out, valid_from=known.since)
        for person, known in history.known_at(tx, ids, at).items()
    }


def noted_facts(
    tx: Connection, scorer: Scorer, ids: Sequence[PersonId], at: datetime
) -> dict[PersonId, dict[str, Value]]:
    """What conditions may look at beside a person's own fields: their objection, and what they had learned by then.

    An objection counts for every instant: whoever objects today is not profiled of the past either.
    """
    objecting = consents.objecting(tx, ids)
    teaching = [name for name, asset in scorer.config.catalogue.items() if asset.teaches]
    learned = offers.took_up(tx, ids, teaching, at) if teaching else {}
    return {
        person: {
            OBJECTS: person in objecting,
            EDUCATION: 100 * learned.get(person, 0) / len(teaching) if teaching else None,
        }
        for person in ids
    }


def facts_of(row: lead_store.PersonRow) -> dict[str, Value]:
    """What conditions may look at of a person: mapped fields and built-in ones."""
    return facts(row.attributes, row.email, row.canonical, row.opted_out)


def facts(
    attributes: Mapping[str, Value], email: str | None, canonical: str | None, opted_out: bool
) -> dict[str, Value]:
    """The same from the parts of a row; the canonical address may be None while it has yet to be found."""
    domain = canonical.rpartition("@")[2] if canonical else addresses.domain_of(email)
    return {**attributes, "email": email, "email_domain": domain, "opted_out": opted_out}
