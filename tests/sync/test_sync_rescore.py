"""Who is due is scored once, by whoever holds the claim, and nothing is written by looking (G8, G10, G18)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadbridge.store import Store, activities, due, enrolments, leads, outbox
from leadbridge.store import scores as score_store
from leadbridge.types import Activity, ActivityKind, email_key
from scoring import engine
from sync import accounts, explain, pull, rescore
from sync.outlook import Scorer
from sync.retry import next_try
from tests.helpers.storedump import dump
from tests.helpers.syncing import TAG, Stage, configuration, journey, moving, stage


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    with stage(store, journey(TAG)) as found:
        yield found


def again(made: Stage, owner: str = "w1") -> rescore.Rescored:
    return rescore.rescore(replace(made.parts, owner=owner))


def value(made: Stage, record: str) -> int | None:
    with made.store.reading() as tx:
        return score_store.current_scores(tx, [made.person(record)])[made.person(record)]["lead"].value


def everyone(made: Stage) -> list[int]:
    with made.store.reading() as tx:
        return leads.all_person_ids(tx, 0, 1000)


def test_a_worker_whose_lease_was_taken_over_saves_nothing(made: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with moving(made) as time:
        record = made.lead()
        pull.pull(made.store, made.parts.crms, made.parts.platform)
        really = Scorer.outlook
        nested: list[rescore.Rescored] = []

        def slow(self: Scorer, *given: Any) -> Any:
            found = really(self, *given)
            if not nested:  # paused between computing and saving, while the lease runs out and the record changes
                nested.append(rescore.Rescored())
                time.on(seconds=61)
                made.edit(record, jobtitle="Director")
                pull.pull(made.store, made.parts.crms, made.parts.platform)
                nested.append(again(made, "w2"))
            return found

        monkeypatch.setattr(Scorer, "outlook", slow)
        first = again(made)
        assert (first.people, nested[1].people) == (0, 1)
        assert value(made, record) == 55
        made.act()
        assert made.held(record)["leadbridge_score"] == "55"


def test_who_is_marked_again_during_scoring_stays_due(made: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    record = made.lead()
    pull.pull(made.store, made.parts.crms, made.parts.platform)
    really = Scorer.outlook
    edits = ["Director"]

    def edited(self: Scorer, *given: Any) -> Any:
        found = really(self, *given)
        if edits:
            made.edit(record, jobtitle=edits.pop())
            pull.pull(made.store, made.parts.crms, made.parts.platform)
        return found

    monkeypatch.setattr(Scorer, "outlook", edited)
    assert again(made).people == 2  # once with the old title, once more with the new one
    assert value(made, record) == 55


def test_a_score_that_fades_is_looked_at_again_in_a_day(store: Store) -> None:
    with stage(store, journey(TAG), drift={"points": 0}) as made, moving(made) as time:  # every move is shown
        record = made.lead("ada@acme.example")
        viewed = Activity(email_key("ada@acme.example"), ActivityKind.PAGE_VIEW, time.at, "test", "1")
        made.sync()
        with made.store.writing() as tx:
            added = activities.add_activities(tx, [viewed], time.at)
            due.mark_due(tx, added.people, time.at)
        seen = []
        for _ in range(3):
            made.act()
            seen.append(made.held(record)["leadbridge_score"])
            time.on(days=1)
        assert seen == ["23", "19", "17"]
        with made.store.reading() as tx:
            assert due.due_count(tx) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"journeys": [journey(TAG)]}, True),  # the rest after a journey ends by itself
        ({"rules": [{"name": "page", "category": "fit", "activity": "page_view", "points": 1}]}, True),
        ({"rules": [{"name": "quiet", "category": "fit", "no_activity_for": "60d", "points": -1}]}, True),
        ({"rules": [{"name": "new", "category": "fit", "when": {"created_at": {"within": "9d"}}, "points": 1}]}, True),
        ({"stages": {"mql": {"when": {"not": {"created_at": {"older_than": "9d"}}}}}}, True),
    ],
)
def test_whatever_depends_on_time_is_looked_at_again(changes: dict[str, Any], expected: bool) -> None:
    rules = changes.pop("rules", [{"name": "r", "category": "fit", "when": {"job_title": {"present": True}},
                                   "points": 1}])  # fmt: skip
    scores = {"lead": {"categories": {"fit": {"max": 60}}, "rules": rules}}
    given = {"stages": {}} | changes
    config = configuration("http://127.0.0.1:1", *given.pop("journeys", []), scores=scores, **given)
    assert Scorer(config).depends_on_time is expected


def test_one_person_who_breaks_scoring_is_set_aside_and_the_rest_are_scored(
    made: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [made.lead() for _ in range(20)]
    pull.pull(made.store, made.parts.crms, made.parts.platform)
    poison = made.person(records[7])
    really = engine.score

    def breaks(model: Any, people: Any, *more: Any) -> Any:
        if poison in people.ids:
            raise ZeroDivisionError
        return really(model, people, *more)

    monkeypatch.setattr(engine, "score", breaks)
    done = again(made)
    assert (done.people, done.failed) == (19, 1)
    (item,) = made.quarantined()
    assert (item.source, item.ref, item.reason) == ("rescore", str(poison), "ZeroDivisionError")
    assert again(made).failed == 0  # it rests


def test_looking_writes_nothing(made: Stage, store_url: str) -> None:
    record = made.lead("ada@acme.example")
    made.sync()
    url = store_url.replace("postgresql:", "postgresql+psycopg:")
    before, calls = dump(url), made.calls()
    assert explain.what_if(made.store, made.parts.scorer, everyone(made), {"job_title": "Director"}) == {
        made.person(record): {"lead": 55}
    }
    explained = explain.explain(made.store, made.parts.scorer, " ADA@acme.example ")
    assert explained is not None
    assert explained.scores[0].value == 15
    assert sum(line.points for line in explained.scores[0].contributions) == 15
    assert explain.explain(made.store, made.parts.scorer, "nobody@acme.example") is None
    assert explain.explain(made.store, made.parts.scorer, "no address") is None
    assert (dump(url), made.calls()) == (before, calls)


def test_a_changed_person_and_everything_that_follows_commit_together(
    made: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = made.lead()
    pull.pull(made.store, made.parts.crms, made.parts.platform)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(due, "settle_due", die)
        with pytest.raises(KeyboardInterrupt):
            again(made)
    with made.store.reading() as tx:
        assert score_store.current_scores(tx, [made.person(record)]) == {}
        assert outbox.pending_writes(tx, "hubspot") == 0
        assert enrolments.history(tx, [made.person(record)]) == {}


def test_tries_grow_apart_and_end() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    waits = [found - now if (found := next_try(n, now)) else None for n in range(1, 6)]
    assert waits == [timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=4), timedelta(minutes=15), None]


def test_a_store_is_about_one_account_for_good(made: Stage) -> None:
    crm = made.parts.crms[0]
    accounts.confirm(made.store, made.parts.rooms)
    known = accounts.pinned(made.store, "hubspot")
    assert known == "62515"

    class Other:
        vendor = crm.vendor

        def account(self) -> str:
            return "99"

    with pytest.raises(Exception, match="belong to account 99, but the store is about account 62515"):
        accounts.confirm(made.store, [Other()])  # type: ignore[list-item]
    assert accounts.pinned(made.store, "hubspot") == known
