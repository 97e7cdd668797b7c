"""The commands that look back: what the past says of the rules, in words and as data."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from leadbridge import clock
from leadbridge.store import Store
from tests.helpers.commands import Run, told
from tests.sync.test_sync_backtest import DAY, LAST, NOW, Past


@pytest.fixture(autouse=True)
def _now() -> Iterator[None]:
    clock.set_source(lambda: NOW)
    yield
    clock.set_source(None)


@pytest.fixture
def past(store: Store) -> Past:
    """A hundred people, of whom the heads of something became customers three times as often."""
    found = Past(store)
    for n in range(1, 101):
        boss = n % 2 == 0
        found.known(n, job_title="Head of Sales" if boss else "Engineer")
        if n % 20 in (2, 4, 6, 7):
            found.stage(n, "customer", LAST + 9 * DAY)
    found.known(101, LAST + DAY, created=datetime(2026, 1, 1, tzinfo=UTC))
    found.save()
    return found


@pytest.mark.usefixtures("past")
def test_rules_are_tried_on_the_past(run: Run) -> None:
    found = told(run("backtest", "--within", "90d", "--instants", "2", "--json"))
    assert found["goal"] == {"reaches": "customer", "within": 90 * 86400}
    assert [(one["people"], one["became"], one["unknown"]) for one in found["instants"]] == [(100, 0, 1), (100, 20, 1)]
    (lead,) = found["scores"]
    assert (lead["score"], lead["people"]) == ("lead", {"people": 200, "successes": 20})
    assert lead["auc"] > 0.6
    assert lead["interval"][0] > 0.5
    assert lead["average_precision"] > 0.1
    words = run("backtest", "--instants", "2").stdout
    assert "as of 2027-04-02: 100 people, 20 did" in words
    assert "left out: 1 who were there" in words
    assert "it tells" in words
    assert "by chance 0.100" in words


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--within", "90"), 2, "needs a unit"),
        (("--reaches", "queen"), 2, "queen"),
        (("--reaches", "evangelist"), 3, "too few to tell"),
        (("--within", "600d"), 3, "nobody was known then"),
    ],
)
def test_what_cannot_be_told_is_not_told(run: Run, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in run("backtest", *words, code=code).output
