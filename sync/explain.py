"""How one person's scores come about, computed from what is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leadbridge import addresses, clock
from leadbridge.store import enrolments
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store
from leadbridge.types import BuyerJourney, LifecycleStage, PersonId, Score, Value
from sync.outlook import Scorer, load


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one person's scores come about now."""

    email: str
    scores: tuple[Score, ...]
    stage: LifecycleStage | None
    buyer_journey: BuyerJourney | None
    wanted: Mapping[str, Value]  # what the CRM should show, by our write-back names
    enrolments: tuple[enrolments.EnrolmentRow, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "email": self.email,
            "scores": [
                {
                    "name": score.name,
                    "value": score.value,
                    "grade": score.grade,
                    "model": score.model,
                    "at": score.at.isoformat(),
                    "contributions": [
                        {"category": line.category, "rule": line.rule, "points": line.points}
                        for line in score.contributions
                    ],
                }
                for score in self.scores
            ],
            "stage": self.stage,
            "buyer_journey": self.buyer_journey,
            "write_back": dict(self.wanted),
            "enrolments": [{"journey": row.journey, "state": row.state, "words": row.words} for row in self.enrolments],
        }


def what_if(
    store: Store, scorer: Scorer, ids: Sequence[PersonId], pretend: Mapping[str, Value]
) -> dict[PersonId, Mapping[str, int]]:
    """The scores by name these people would have now if their attributes were as pretended. Reads the store only."""
    at = clock.now()
    with store.reading() as tx:
        loaded = load(tx, scorer, ids, at, pretend)
    found = scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
    return {one.person_id: {score.name: score.value for score in one.scores} for one in found}


def explain(store: Store, scorer: Scorer, email: str) -> Explanation | None:
    """One person's scores as they are now, computed from what is stored; None when nobody has the address."""
    canonical = addresses.canonical(email)
    if canonical is None:
        return None
    at = clock.now()
    with store.reading() as tx:
        person = lead_store.person_by_email(tx, canonical)
        if person is None:
            return None
        loaded = load(tx, scorer, [person], at)
        ledger = enrolments.history(tx, [person]).get(person, [])
    (found,) = scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
    return Explanation(canonical, found.scores, found.stage, found.buyer_journey, found.wanted, tuple(ledger))
