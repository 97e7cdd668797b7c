"""Scores and standings, as they are and as they were."""

import math
from datetime import timedelta
from typing import Any

from sqlalchemy import Text, select, type_coerce

from leadbridge.store import Store, scores
from leadbridge.store.columns import to_json
from leadbridge.store.scores import Standing
from leadbridge.store.tables import score_history
from leadbridge.types import BuyerJourney, Contribution, LifecycleStage, Score
from tests.helpers.store_people import NOW, people

LATER = NOW + timedelta(hours=1)


def score(person_id: int, value: int = 40, **more: Any) -> Score:
    parts = (Contribution("fit", "decision maker", 25.0), Contribution("engagement", "pricing page", 15.0))
    base = Score(person_id, "lead", value, "B", {"fit": 25.0, "engagement": 15.0}, parts, "model", NOW)
    return base._replace(**more)


def test_a_score_comes_back_with_its_reasons_in_the_history(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        assert scores.save_scores(tx, [score(ada)], LATER) == {ada}
        row = scores.current_scores(tx, [ada])[ada]["lead"]
        assert row == scores.ScoreRow(ada, "lead", 40, "B", {"fit": 25.0, "engagement": 15.0}, "model", NOW, 1)
        (change,) = scores.score_changes(tx, ada)
        assert sum(part.points for part in change.contributions) == change.value == 40
        assert (change.version, change.at, change.contributions) == (1, NOW, score(ada).contributions)


def test_what_a_score_is_made_of_is_kept_as_json_has_it(store: Store) -> None:
    odd = [
        (Contribution("fit", 'a "quoted" name, ä \x01', 1e-10), Contribution("", "rounding", -0.0)),
        (Contribution("fit", "a whole number", 3), Contribution("fit", "not a number", math.nan)),
        (),
    ]
    categories: list[dict[str, float]] = [{"b": 0.1, 'a"': 2.0}, {"fit": math.inf}, {}]
    with store.writing() as tx:
        ids = people(tx, 3)
        rows = [
            score(person, contributions=lines, categories=points)
            for person, lines, points in zip(ids, odd, categories, strict=True)
        ]
        scores.save_scores(tx, rows, LATER)
        kept = [type_coerce(score_history.c[name], Text) for name in ("contributions", "categories")]
        found = [tuple(row) for row in tx.execute(select(*kept).order_by(score_history.c.person_id))]
        assert found == [(to_json(row.contributions), to_json(row.categories)) for row in rows]


def test_only_what_changed_is_written_and_each_change_has_a_line(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = people(tx, 2)
        scores.save_scores(tx, [score(ada), score(bob)], LATER)
        assert scores.save_scores(tx, [score(ada, at=LATER), score(bob)], LATER) == set()
        drifted = {"fit": 25.2, "engagement": 14.8}
        assert scores.save_scores(tx, [score(ada, at=LATER, categories=drifted)], LATER) == set()
        changes: list[dict[str, Any]] = [
            {"value": 41},
            {"grade": "A"},
            {"model": "other"},
            {"categories": {"fit": 40.0, "engagement": 0.0}},
        ]
        so_far: dict[str, Any] = {}
        for number, change in enumerate(changes, 2):
            so_far |= change
            assert scores.save_scores(tx, [score(ada, at=LATER, **so_far), score(bob)], LATER) == {ada}
            assert scores.current_scores(tx, [ada])[ada]["lead"].version == number
        assert [line.version for line in scores.score_changes(tx, ada)] == [5, 4, 3, 2, 1]
        assert len(scores.score_changes(tx, bob)) == 1
        assert [line.version for line in scores.score_changes(tx, ada, name="lead", limit=2)] == [5, 4]
        assert scores.score_changes(tx, ada, name="customer") == []


def test_a_worker_that_was_overtaken_does_not_put_its_old_score_back(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        scores.save_scores(tx, [score(ada, 70, at=LATER)], LATER)
        assert scores.save_scores(tx, [score(ada, 10)], LATER) == set()
        assert scores.current_scores(tx, [ada])[ada]["lead"].value == 70
        assert len(scores.score_changes(tx, ada)) == 1


def test_a_clock_that_ran_ahead_does_not_block_later_scores(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        scores.save_scores(tx, [score(ada, 70, at=NOW + timedelta(days=30))], NOW)
        assert scores.save_scores(tx, [score(ada, 71, at=LATER)], LATER) == {ada}


def test_a_person_has_several_scores(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        assert scores.save_scores(tx, [score(ada), score(ada, 60, name="customer")], LATER) == {ada}
        assert {name: row.value for name, row in scores.current_scores(tx, [ada])[ada].items()} == {
            "lead": 40,
            "customer": 60,
        }


def test_a_score_that_no_longer_applies_is_gone_but_its_history_and_version_go_on(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = people(tx, 2)
        scores.save_scores(tx, [score(ada)], NOW)
        assert scores.unscore(tx, [(ada, "lead"), (ada, "customer"), (bob, "lead")], "model", LATER) == {ada}
        assert scores.current_scores(tx, [ada]) == {}
        assert scores.unscore(tx, [(ada, "lead")], "model", LATER) == set()
        assert scores.versions(tx, [ada, bob]) == {ada: 2, bob: 0}
        assert scores.save_scores(tx, [score(ada, at=LATER)], LATER) == {ada}
        assert [line.value for line in scores.score_changes(tx, ada)] == [40, None, 40]


def test_a_standing_comes_back_and_is_written_only_when_it_changed(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = people(tx, 2)
        row = Standing(
            ada, LifecycleStage.MQL, NOW, BuyerJourney.CONSIDERATION, ("smb",), {"lead": "pricing page"}, NOW
        )
        assert scores.save_standings(tx, [row], NOW) == {ada}
        assert scores.standings(tx, [ada, bob]) == {ada: row._replace(version=1)}
        assert scores.save_standings(tx, [row._replace(at=LATER)], LATER) == set()
        changes: list[dict[str, Any]] = [{"segments": ()}, {"reasons": {}}, {"stage": None}, {"buyer_journey": None}]
        for change in changes:
            row = row._replace(at=LATER, **change)
            assert scores.save_standings(tx, [row], LATER) == {ada}
        assert scores.standings(tx, [ada])[ada].version == 5
        assert scores.versions(tx, [ada]) == {ada: 5}


def test_a_stage_is_held_since_the_person_entered_it(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        scores.save_standings(tx, [Standing(ada, LifecycleStage.MQL, NOW, None)], NOW)
        assert scores.save_standings(tx, [Standing(ada, LifecycleStage.MQL, LATER, None)], LATER) == set()
        scores.save_standings(tx, [Standing(ada, LifecycleStage.MQL, LATER, None, ("smb",))], LATER)
        assert scores.standings(tx, [ada])[ada].stage_since == NOW
        scores.save_standings(tx, [Standing(ada, LifecycleStage.SQL, None, None)], LATER)
        assert scores.standings(tx, [ada])[ada].stage_since == LATER


def test_each_move_between_stages_is_in_the_history(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = people(tx, 2)
        scores.save_standings(
            tx, [Standing(ada, LifecycleStage.LEAD, None, None, cause="entered"), Standing(bob, None, None, None)], NOW
        )
        scores.save_standings(tx, [Standing(ada, LifecycleStage.LEAD, None, None, ("smb",))], LATER)
        scores.save_standings(
            tx, [Standing(ada, LifecycleStage.MQL, None, BuyerJourney.DECISION, cause="promoted")], LATER
        )
        assert scores.stage_changes(tx, ada) == [
            (NOW, "lead", None, "entered"),
            (LATER, "mql", "decision", "promoted"),
        ]
        assert {one: row.stage for one, row in scores.standings(tx, [ada, bob]).items()} == {
            ada: LifecycleStage.MQL,
            bob: None,
        }


def test_an_overtaken_standing_is_passed_over(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        scores.save_standings(tx, [Standing(ada, LifecycleStage.SQL, None, None, at=LATER)], LATER)
        assert scores.save_standings(tx, [Standing(ada, LifecycleStage.LEAD, None, None, at=NOW)], LATER) == set()
        assert scores.standings(tx, [ada])[ada].stage == LifecycleStage.SQL
