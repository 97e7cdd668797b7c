"""Who would move is shown before anything moves, and looking changes nothing (N3)."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from leadbridge.config.schema import Config
from leadbridge.store import Store, leads
from sync import forecast as looking
from sync.forecast import Called, Crossings, forecast
from sync.outlook import Scorer
from tests.helpers.storedump import dump
from tests.helpers.syncing import BASE, Stage, moving, stage

SEGMENTS = {"engineers": {"job_title": "Engineer"}}


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    with stage(store, segments=SEGMENTS) as found:
        yield found


def changed(made: Stage, **points: float) -> Config:
    """The configuration with other points for some rules."""
    lead: dict[str, Any] = BASE["scores"]["lead"]
    rules = [rule | {"points": points.get(rule["name"], rule["points"])} for rule in lead["rules"]]
    rest = {key: value for key, value in BASE.items() if key != "scores"}
    raw = rest | {
        "connections": made.config.connections,
        "segments": SEGMENTS,
        "scores": {"lead": lead | {"rules": rules}},
    }
    return Config.model_validate(raw)


def test_what_new_rules_would_do_is_told_and_nothing_is_done(
    made: Stage, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "BATCH", 2)
    made.lead("boss@acme.example", jobtitle="Director")
    for number in range(4):
        made.lead(f"engineer{number}@acme.example")
    made.sync()
    url = store_url.replace("postgresql:", "postgresql+psycopg:")
    before, calls = dump(url), made.calls()
    scorer = Scorer(changed(made, known=55, boss=0))
    found = forecast(made.store, scorer, made.parts.crms, made.parts.platform, by="job_title")
    assert (dump(url), made.calls()) == (before, calls)

    spread = found.scores["lead"]
    assert (found.people, spread.moved, spread.up, spread.down) == (5, 4, 4, 0)
    assert spread.before == [0, 4, 0, 0, 0, 1, 0, 0, 0, 0]
    assert spread.now == [0, 0, 0, 0, 0, 5, 0, 0, 0, 0]
    assert dict(found.stages) == {("none", "mql"): 4}
    assert found.by == {"Engineer": Crossings(up=4)}
    assert found.by_segment == {"engineers": Crossings(up=4)}
    assert (len(found.movers), found.movers[0].by, found.movers[0].reasons) == (4, 40, "known +55")
    assert (found.writes["hubspot"], found.cost.calls["hubspot"]) == (4, 1)
    stored, now = found.models["lead"]
    assert (stored, now) == (made.parts.scorer.models[0].hash, scorer.models[0].hash)
    assert stored != now


def test_two_configurations_are_compared_at_one_instant_whatever_is_stored(made: Stage) -> None:
    made.lead(jobtitle="Director")
    made.sync()
    old, new = Scorer(changed(made, known=0)), Scorer(changed(made, known=5))
    found = forecast(made.store, new, old=old)
    assert [found.scores["lead"].up, found.movers[0].before, found.movers[0].now] == [1, 40, 45]


def test_a_score_that_is_no_longer_there_is_told(made: Stage) -> None:
    made.lead()
    made.sync()
    renamed = made.config.model_copy(update={"scores": {"buyer": made.config.scores["lead"]}, "stages": {}})
    new = Scorer(renamed)
    for old in (None, made.parts.scorer):
        found = forecast(made.store, new, old=old)
        assert (list(found.gone), found.scores["buyer"].moved) == (["lead"], 1)


def test_a_field_of_which_nobody_has_a_value_is_told(made: Stage) -> None:
    record = made.lead()
    made.sync()
    assert forecast(made.store, made.parts.scorer).unread == {"budget"}
    with made.store.writing() as tx:
        leads.save_people(
            tx, [leads.PersonRow(made.person(record), "ada@acme.example", {"budget": 5000.0})], made.now()
        )
    assert forecast(made.store, made.parts.scorer).unread == {"job_title"}


def test_the_same_rules_move_nobody(made: Stage) -> None:
    made.lead()
    made.sync()
    found = forecast(made.store, made.parts.scorer, made.parts.crms)
    assert (found.scores["lead"].moved, dict(found.stages), found.movers, found.cost.calls) == (
        0,
        {},
        [],
        {"hubspot": 0},
    )


def test_how_many_a_week_each_owner_would_be_handed_is_told(store: Store) -> None:
    ready = {"mql": {"when": {"score.lead": {"at_least": 40}}}}
    with stage(store, stages=ready, hand_off={"on": "mql"}) as made, moving(made) as time:
        made.lead("long@acme.example", jobtitle="Director")
        made.sync()
        time.on(days=8)
        made.lead("new@acme.example", jobtitle="Director of sales")
        made.lead("not@acme.example")
        made.sync()
        found = forecast(made.store, made.parts.scorer, by="job_title")
        assert found.called == Called(1, Counter({"Director of sales": 1}))
        assert found.as_dict()["called_in_a_week"] == {"people": 1, "by": {"Director of sales": 1}, "unknown": 0}
        time.on(days=7)
        assert forecast(made.store, made.parts.scorer, by="job_title").called == Called()


def test_without_a_hand_off_nobody_is_said_to_be_handed_over(made: Stage) -> None:
    made.lead(jobtitle="Director")
    made.sync()
    assert forecast(made.store, made.parts.scorer).called is None


def test_a_field_that_is_not_there_is_named_with_those_that_are(made: Stage) -> None:
    with pytest.raises(ValueError, match="owner is no field; there is: budget"):
        forecast(made.store, made.parts.scorer, by="owner")
