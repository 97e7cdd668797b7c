"""The score of an earlier day against what came since: the truth built in is found, and nothing is known too early."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from leadbridge.store import Store
from sync.accuracy import accuracy
from tests.helpers.syncing import configuration, journey
from tests.sync.test_sync_outcomes import MEASUREMENT, NOW, History

CONFIG = configuration("http://127.0.0.1:9", journey("guides"), measurement=MEASUREMENT)
THEN = NOW - timedelta(days=90)


class Scored(History):
    """The same with scores."""

    def score(self, n: int, value: int | None, at: datetime) -> None:
        rows = self.rows["score_history"]
        rows.append(
            {"person_id": n, "name": "lead", "version": len(rows) + 1, "value": value, "grade": None, "categories": {},
             "contributions": [], "model": "m", "at": at}
        )  # fmt: skip

    def handed(self, n: int, score: int, outcome: str | None, at: datetime) -> None:
        self.rows["hand_offs"].append(
            {"person_id": n, "rule": "hand_off", "entry": 1, "fits": [], "key": f"k{n}", "task": "none", "due_at": at,
             "state": "closed" if outcome else "open", "score": score, "decided_at": at, "opened_at": at,
             "outcome": outcome, "accepted_at": None if outcome else at}
        )  # fmt: skip


@pytest.fixture
def history(store: Store) -> Scored:
    return Scored(store)


@pytest.mark.parametrize("tells", [True, False])
def test_a_score_that_tells_is_told_from_one_that_does_not(history: Scored, tells: bool) -> None:
    rng = np.random.default_rng(77)
    for n in range(1, 601):
        history.person(n)
        score = int(rng.integers(0, 100))
        history.score(n, score, THEN - timedelta(days=float(rng.uniform(1, 60))))
        history.stage(n, "mql", THEN - timedelta(days=70))
        chance = 0.05 + 0.4 * (score / 100 if tells else 0.5)
        if rng.random() < chance:
            history.stage(n, "sql", THEN + timedelta(days=5))
            if rng.random() < 0.8:
                history.stage(n, "customer", THEN + timedelta(days=float(rng.uniform(10, 80))))
        if n % 3 == 0:
            history.handed(n, score, "rejected" if rng.random() < 1 - chance else None, THEN + timedelta(days=9))
    history.save()
    with history.store.reading() as tx:
        found = accuracy(tx, CONFIG, NOW)
    assert (found.score, found.at, found.until) == ("lead", THEN, NOW)
    for question in found.questions:
        assert question.found.auc is not None, question.asked
        assert question.found.interval is not None
        low, high = question.found.interval
        assert (low > 0.5) is tells, question
        assert tells or low <= 0.5 <= high
    best, worst = found.questions[0].found.tenths[0], found.questions[0].found.tenths[-1]
    assert not tells or (best.lift > 1.2 and worst.lift < 0.8)


def test_nothing_that_was_learned_later_counts(history: Scored) -> None:
    """The score of then, not of now; no customer of before; nobody who had no score; no success after the time."""
    for n in range(1, 61):
        history.person(n)
        won = n % 2 == 0
        history.score(n, n, THEN - timedelta(days=10))
        history.score(n, 100 if won else 0, THEN + timedelta(seconds=1))  # as if it had known
        if won:
            history.stage(n, "customer", THEN + timedelta(days=3))
    for n, (score_at, bought_at) in enumerate(
        [
            (THEN - timedelta(days=5), THEN - timedelta(days=1)),
            (THEN + timedelta(hours=1), THEN + timedelta(days=2)),
            (THEN - timedelta(days=5), NOW + timedelta(hours=1)),
        ],
        61,
    ):
        history.person(n)
        history.score(n, 50, score_at)
        history.stage(n, "customer", bought_at)
    history.person(64)
    history.score(64, 70, THEN - timedelta(days=5))
    history.score(64, None, THEN - timedelta(days=4))  # not scored any more
    history.save()
    with history.store.reading() as tx:
        found = accuracy(tx, CONFIG, NOW).questions[0].found
        assert accuracy(tx, CONFIG, NOW, NOW) == accuracy(tx, CONFIG, NOW)  # their time is not over: as late as can be
    assert (found.people.people, found.people.successes) == (61, 30)
    assert found.auc is not None
    assert 0.45 < found.auc < 0.55


def test_few_are_told_as_few_and_months_by_those_whose_time_was_over(history: Scored) -> None:
    begin = datetime(2026, 8, 1, tzinfo=NOW.tzinfo)
    for n in range(1, 41):
        history.person(n)
        history.score(n, 80 if n % 2 else 10, begin - timedelta(days=1))
        if n <= 8:
            history.stage(n, "customer", datetime(2026, 9, 1, tzinfo=NOW.tzinfo) + timedelta(days=n))
    history.save()
    with history.store.reading() as tx:
        found = accuracy(tx, CONFIG, NOW)
    assert [question.found.auc for question in found.questions] == [None] * 3
    months = [month for month, _ in found.months]
    assert months
    assert min(months) >= begin + timedelta(days=90)  # before, no month's time was over
    assert all(one.came == 0 and one.promised > 0 for _, one in found.months[:1])
