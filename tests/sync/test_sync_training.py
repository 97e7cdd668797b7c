"""A probability learned from the store: the truth built in is found, what cannot be known is not said."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from leadbridge.config.trained import Trained
from leadbridge.store import Store
from leadbridge.store.tables import persons
from scoring.predict.scorecard import scorecard
from sync.backtest import backtest
from sync.loading import load
from sync.outlook import Scorer
from sync.training import Abstained, Leaking, Learned, train
from tests.helpers.syncing import configuration, journey
from tests.sync.test_sync_backtest import DAY, GOAL, LONG_AGO, NOW, Past

SCORES: dict[str, Any] = {
    "lead": {
        "categories": {"fit": {"max": 60}, "engagement": {"max": 40}},
        "rules": [
            {"name": "boss", "category": "fit", "when": {"job_title": {"words": ["director"]}}, "points": 10},
            {"name": "pages", "category": "engagement", "activity": "page_view", "points": 8, "within": "30d",
             "at_most": 3},
            {"name": "budget known", "category": "fit", "when": {"budget": {"present": True}}, "points": 5},
        ],
    }
}  # fmt: skip
CONFIG = configuration("http://127.0.0.1:9", journey("guides"), scores=SCORES)
AT = [NOW - 90 * DAY * back for back in (4, 3, 2, 1)]


def filled(
    store: Store, people: int = 500, *, told: float = 1.0, base: float = 0.05, leak: bool = False, late: bool = False
) -> Past:
    """Bosses come three times as often, and who looked at pages twice; `told` 0: nobody more often than others."""
    past, rng = Past(store), np.random.default_rng(9)
    for n in range(1, people + 1):
        boss, came = bool(rng.random() < 0.4), None
        begin = LONG_AGO if n % 3 else AT[1] - DAY
        for at in AT:
            if at < begin:
                continue
            looked = bool(rng.random() < 0.5)
            if looked:
                past.did(n, "page_view", at - float(rng.uniform(1, 29)) * DAY)
            if rng.random() < base * (1 + told * (2 * boss)) * (1 + told * looked):
                came = at + float(rng.uniform(1, 89)) * DAY
                break
        budget: dict[str, Any] = {"budget": 5000} if (leak and came is not None) or rng.random() < 0.02 * leak else {}
        title: dict[str, Any] = {"job_title": "Director" if boss else "Engineer"}
        past.known(n, begin, **title, **budget)
        if came is not None:
            past.stage(n, "customer", came)
            if late:
                past.known(n, came, **title, budget=5000)
    past.save()
    return past


def learned(store: Store, **more: object) -> Learned | Abstained | Leaking:
    return train(store, CONFIG, "lead", GOAL, NOW, **more)  # type: ignore[arg-type]


def test_what_makes_people_come_is_learned_and_tried_on_later_ones(store: Store) -> None:
    filled(store)
    found = learned(store)
    assert isinstance(found, Learned)
    model = found.model
    lines = {line.rule: line for line in scorecard(model)}
    assert lines["boss"].sure
    assert lines["boss"].points > 0
    assert lines["pages"].points > 0
    assert lines["budget known"].given == 0
    assert model.held_out.auc_low > 0.5
    assert found.calibration.interval is not None
    assert found.calibration.interval[0] < 1 < found.calibration.interval[1]
    assert [one.at for one in model.looked] == [at.isoformat() for at in AT]
    kept = [one.held_out for one in model.looked]
    assert kept == sorted(kept)  # the later ones
    assert set(kept) == {False, True}
    assert sum(one.became for one in model.looked) == sum(one.became for one in found.instants)
    again = learned(store)
    assert isinstance(again, Learned)
    assert again.model == model


def test_of_few_outcomes_nothing_is_said(store: Store) -> None:
    filled(store, 60)
    found = learned(store)
    assert isinstance(found, Abstained)
    assert "at least 50" in found.why


def test_what_tells_no_better_than_chance_is_no_model(store: Store) -> None:
    filled(store, told=0.0, base=0.15)
    found = learned(store)
    assert isinstance(found, Abstained)
    assert "no better than chance" in found.why


def test_outcomes_of_one_instant_cannot_be_tried(store: Store) -> None:
    filled(store)
    found = train(store, CONFIG, "lead", GOAL.model_copy(update={"within": 360 * 86400.0}), NOW, 1)
    assert isinstance(found, Abstained)
    assert "more instants" in found.why


def test_a_planted_leak_is_named_and_refused_until_somebody_vouches_for_it(store: Store) -> None:
    """The CRM filled the budget in with the deal, and says that it was always so."""
    filled(store, leak=True)
    found = learned(store)
    assert isinstance(found, Leaking)
    assert [leak.name for leak in found.leaks] == ["rule budget known", "field budget"]
    assert isinstance(learned(store, honest=["budget known", "budget"]), Learned)


def test_a_field_that_is_known_only_afterwards_is_named(store: Store) -> None:
    filled(store, late=True)
    found = learned(store)
    assert isinstance(found, Leaking)
    assert [leak.name for leak in found.leaks] == ["field budget"]
    assert "of nobody before" in found.leaks[0].why
    assert isinstance(learned(store, honest=["budget"]), Learned)


# --- in use ----------------------------------------------------------------------------------------------------------


def using(model: Trained | None) -> Scorer:
    """The same configuration with a category of the trained probability, shown in the CRM."""
    lead = SCORES["lead"]
    categories = lead["categories"] | ({} if model is None else {"likely": {"max": 40, "model": model}})
    shown = {name: {"hubspot": f"leadbridge_{name}"} for name in ("score", "probability", "probability_state")}
    scores = {"lead": lead | {"categories": categories}}
    return Scorer(configuration("http://127.0.0.1:9", journey("guides"), scores=scores, write_back=shown))


def test_the_crm_is_shown_how_likely_somebody_is_or_that_nobody_can_tell(store: Store) -> None:
    filled(store)
    found = learned(store)
    assert isinstance(found, Learned)
    with store.reading() as tx:
        people = [row["id"] for row in tx.execute(select(persons.c.id).limit(200)).mappings()]
        ready, bare = using(found.model), using(None)
        loaded, plain = (load(tx, one, people, NOW) for one in (ready, bare))
    outlooks = ready.outlook(loaded.people, loaded.activities, loaded.stages, NOW)
    shown = {outlook.wanted["probability"] for outlook in outlooks}
    assert len(shown) > 1
    assert all(isinstance(one, float) and 0 < one < 100 for one in shown)
    assert {outlook.wanted["probability_state"] for outlook in outlooks} == {"learned 2027-07-01"}
    (anybody, *_) = bare.outlook(plain.people, plain.activities, plain.stages, NOW)
    assert anybody.wanted["probability"] is None
    assert anybody.wanted["probability_state"] == "too little data"


def test_a_score_with_a_model_is_tried_on_days_after_what_it_was_learned_from(store: Store) -> None:
    filled(store)
    found = learned(store)
    assert isinstance(found, Learned)
    (told,) = backtest(store, using(found.model), GOAL, NOW, 4).scores
    tried = [one for one in found.model.looked if one.held_out]
    assert told.found.people.people == sum(one.people for one in tried)
    assert told.brier == pytest.approx(found.model.held_out.brier)
    assert told.calibration is not None
    assert told.calibration.expected == pytest.approx(found.model.held_out.expected)
    again = train(store, using(found.model).config, "lead", GOAL, NOW)
    assert isinstance(again, Learned)
    assert again.model.weights == found.model.weights  # of the rules, whatever was learned before
    assert again.model.by_hand == found.model.by_hand
