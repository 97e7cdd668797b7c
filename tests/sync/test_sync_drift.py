"""Whom time alone has moved is looked at when it can have, and a small move is written late, not daily (G15, N9)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from leadbridge.config.scores import Rule
from leadbridge.store import Store, activities, due
from leadbridge.store.tables import due as table
from leadbridge.types import Activity, ActivityKind, email_key
from sync.forecast import forecast
from sync.preview import preview
from tests.helpers.syncing import BASE, Stage, moving, stage
from tests.scoring.predict.test_predict_likely import trained

ADA = "ada@acme.example"
SLOW: dict[str, Any] = BASE["scores"]["lead"] | {
    "rules": [
        *BASE["scores"]["lead"]["rules"][:2],
        {"name": "pages", "category": "engagement", "activity": "page_view", "points": 20, "half_life": "30d"},
    ]
}


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    with stage(store, scores={"lead": SLOW}, drift={"points": 3, "wait": "3d"}) as found:
        yield found


def view(made: Stage) -> None:
    at = made.now()
    with made.store.writing() as tx:
        row = Activity(email_key(ADA), ActivityKind.PAGE_VIEW, at, "test", str(at), {})
        due.mark_due(tx, activities.add_activities(tx, [row], at).people, at)


def next_look(made: Stage, record: str) -> timedelta | None:
    with made.store.reading() as tx:
        at = tx.execute(sa.select(table.c.due_at).where(table.c.person_id == made.person(record))).scalar()
    return None if at is None else at - made.now()


def shown(made: Stage, record: str) -> float:
    return float(made.held(record)["leadbridge_score"])


def test_a_small_drift_waits_a_larger_one_and_news_do_not(made: Stage) -> None:
    with moving(made) as time:
        record = made.lead(ADA)
        made.sync()
        view(made)
        made.sync()
        assert shown(made, record) == 35
        time.on(days=2)  # 15 + 20 x 2^(-2/30) = 34.1
        would = forecast(made.store, made.parts.scorer, made.parts.crms)
        assert (would.drifting, would.writes["hubspot"]) == (1, 0)
        done = made.act()
        assert (done.rescored.people, done.rescored.drifting, shown(made, record)) == (1, 1, 35)
        time.on(days=1, hours=1)  # three days after the last write
        would = forecast(made.store, made.parts.scorer, made.parts.crms)
        assert (would.drifting, would.writes["hubspot"]) == (0, 1)
        made.act()
        assert shown(made, record) == 34
        time.on(days=2, hours=12)  # 32.6, by a point again
        made.act()
        assert shown(made, record) == 34
        made.edit(record, jobtitle="Architect")  # news: written with whatever else has moved
        made.sync()
        assert shown(made, record) == 33


def test_a_change_of_stage_or_grade_does_not_wait(store: Store) -> None:
    stages = {"mql": {"when": {"score.lead": {"at_least": 35}}}}
    places = BASE["write_back"] | {"stage": {"hubspot": "leadbridge_stage"}}  # HubSpot's own stage never goes back
    with stage(store, scores={"lead": SLOW}, stages=stages, write_back=places) as made, moving(made) as time:
        record = made.lead(ADA)
        made.sync()
        view(made)
        made.sync()
        assert made.held(record)["leadbridge_stage"] == "mql"
        time.on(hours=27)  # a point less, and with it the stage is gone
        done = made.act()
        assert (done.rescored.people, done.rescored.drifting, shown(made, record)) == (1, 0, 34)
        assert not made.held(record).get("leadbridge_stage")


def test_nobody_is_looked_at_before_time_can_have_changed_them(made: Stage) -> None:
    with moving(made) as time:
        record = made.lead(ADA)
        made.sync()
        assert next_look(made, record) == timedelta(days=30)
        view(made)
        made.sync()
        waits = next_look(made, record)
        assert waits is not None
        assert timedelta(days=1) < waits < timedelta(days=1, hours=3)  # half a point of 20 goes in 26 hours
        time.on(hours=25)
        assert made.act().rescored.people == 0
        time.on(hours=2)
        assert made.act().rescored.people == 1


def test_a_dry_round_says_what_waits(made: Stage) -> None:
    with moving(made) as time:
        made.lead(ADA)
        made.sync()
        view(made)
        made.sync()
        time.on(days=2)
        would = preview(made.parts)
        assert (would.people, would.drifting, would.writes["hubspot"]) == (1, 1, 0)


def test_every_move_is_written_at_once_where_that_is_asked_for(store: Store) -> None:
    with stage(store, scores={"lead": SLOW}, drift={"points": 0}) as made, moving(made) as time:
        record = made.lead(ADA)
        made.sync()
        view(made)
        made.sync()
        time.on(days=2)
        assert made.act().rescored.drifting == 0
        assert shown(made, record) == 34


@pytest.mark.parametrize(("points", "days"), [(3, 3), (0, 1)])
def test_reasons_that_alone_have_changed_are_shown_in_time(store: Store, points: int, days: int) -> None:
    rules = [*SLOW["rules"][:2], SLOW["rules"][2] | {"points": 90}]
    capped = SLOW | {"rules": rules, "categories": SLOW["categories"] | {"engagement": {"max": 20}}}
    places = BASE["write_back"] | {"reasons": {"hubspot": "leadbridge_reasons"}}
    given: dict[str, Any] = {"write_back": places, "drift": {"points": points, "wait": "3d"}}
    with stage(store, scores={"lead": capped}, **given) as made, moving(made) as time:
        record = made.lead(ADA)
        made.sync()
        view(made)
        made.sync()
        score, before = shown(made, record), made.held(record)["leadbridge_reasons"]
        assert "pages +90" in before
        for day in range(1, 4):
            time.on(days=1, minutes=5)
            made.act()
            now = made.held(record)["leadbridge_reasons"]
            assert (now != before) == (day >= days), day
        assert shown(made, record) == score
        assert "pages +84" in now


def test_a_probability_drifts_like_a_score_and_everybody_is_looked_at_before_it_can_move_one(store: Store) -> None:
    pages = SLOW["rules"][2]
    weight = {"rule": pages["name"], "text": Rule.model_validate(pages).text, "weight": 0.1, "error": 0.01, "low": 0.0,
              "high": 60.0, "typical": 20.0, "given": 50}  # fmt: skip
    categories = SLOW["categories"] | {"likely": {"max": 40, "model": trained(weights=[weight])}}
    places = {name: {"hubspot": f"leadbridge_{name}"} for name in ("score", "probability", "probability_state")}
    given: dict[str, Any] = {"scores": {"lead": SLOW | {"categories": categories}}, "write_back": places}
    with stage(store, **given, drift={"points": 3, "wait": "3d"}) as made, moving(made) as time:
        record = made.lead(ADA)
        made.sync()
        assert made.held(record)["leadbridge_probability"] == "5"  # as the average
        view(made)
        made.sync()
        held = made.held(record)
        assert (held["leadbridge_score"], held["leadbridge_probability"]) == ("70", "28")
        assert held["leadbridge_probability_state"] == "learned 2026-02-01"
        waits = next_look(made, record)
        assert waits is not None
        assert timedelta(hours=1) < waits < timedelta(hours=12)  # 0.2 of a point, at up to 0.9 a day
        time.on(days=2)
        assert made.act().rescored.drifting == 1
        assert made.held(record)["leadbridge_probability"] == "28"
        time.on(days=1, hours=1)
        made.act()
        held = made.held(record)
        assert (held["leadbridge_score"], held["leadbridge_probability"]) == ("68", "25.3")
