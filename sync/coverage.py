"""Is everybody who may be contacted cared for: in a journey, about to be, or with a stated reason why not?"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from leadbridge import clock
from leadbridge.store import enrolments
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store
from leadbridge.types import PersonId
from sync.intents import plan_journeys
from sync.loading import load
from sync.outlook import Scorer

BATCH = 500


@dataclass(frozen=True, slots=True)
class Place:
    """Where one person stands: in journeys, or why in none."""

    person_id: PersonId
    journeys: tuple[str, ...]
    why: str  # why in none; empty when in one
    contactable: bool


@dataclass(slots=True)
class Coverage:
    """Everybody's place, counted. `unexplained` is what must not be: somebody in no journey without a reason."""

    people: int = 0
    contactable: int = 0
    in_journey: Counter[str] = field(default_factory=Counter)
    not_contactable: Counter[str] = field(default_factory=Counter)  # by reason
    in_none: Counter[str] = field(default_factory=Counter)  # contactable, by reason
    unexplained: int = 0


def coverage(store: Store, scorer: Scorer) -> Coverage:
    """Count everybody's place, batch by batch, as the store and the configuration have them now."""
    found = Coverage()
    for place in places(store, scorer):
        found.people += 1
        found.contactable += place.contactable
        found.in_journey.update(place.journeys)
        if not place.contactable:
            found.not_contactable[place.why] += 1
        elif not place.journeys:
            found.in_none[place.why] += 1
            found.unexplained += not place.why
    return found


def places(store: Store, scorer: Scorer) -> Iterator[Place]:
    """Everybody's place, in order of id; one batch in memory."""
    after, at = 0, clock.now()
    while True:
        with store.reading() as tx:
            ids = lead_store.all_person_ids(tx, after, BATCH)
            if not ids:
                return
            loaded = load(tx, scorer, ids, at)
            outlooks = scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
            plan = plan_journeys(tx, store, scorer, loaded, outlooks, at)
            states = enrolments.history(tx, ids)
        wished: dict[PersonId, list[str]] = {}
        for intent in plan.intents:
            wished.setdefault(intent.person_id, []).append(intent.journey)
        for person in ids:
            if person in plan.barred:
                yield Place(person, (), plan.barred[person], contactable=False)
                continue
            inside = plan.inside.get(person, [])
            journeys = tuple(dict.fromkeys([*inside, *wished.get(person, [])]))
            yield Place(
                person, journeys, "" if journeys else _why(plan.why_not.get(person, {}), states.get(person)), True
            )
        after = ids[-1]


def _why(why_not: Mapping[str, str], past: list[enrolments.EnrolmentRow] | None) -> str:
    """The one reason that stands nearest to a journey: what keeps the person out of one that fits."""
    nearest = [why for why in why_not.values() if why != "does not fit"]
    if nearest:
        return nearest[0]
    if why_not:
        return "fits no journey" + (", had one before" if past else "")
    return "there are no journeys"
