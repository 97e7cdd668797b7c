"""Rules tried on the past: the truth built in is found again, and nothing that was learned later counts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from leadbridge.config.measurement import Goal
from leadbridge.store import Store
from leadbridge.types import LifecycleStage
from sync.backtest import Backtest, backtest
from sync.outlook import Scorer
from tests.helpers.syncing import configuration, journey
from tests.sync.test_sync_outcomes import History

NOW = datetime(2027, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)
GOAL = Goal.model_validate({"reaches": "customer", "within": "90d"})
LAST, FIRST = NOW - 90 * DAY, NOW - 180 * DAY
LONG_AGO = NOW - 400 * DAY
SCORER = Scorer(configuration("http://127.0.0.1:9", journey("guides")))


class Past(History):
    """The same with what was known when."""

    def known(self, n: int, at: datetime = LONG_AGO, *, created: datetime = LONG_AGO, **attributes: Any) -> None:
        """From `at` on until told otherwise; calls for one person come in order."""
        earlier = [row for row in self.rows["persons"] if row["id"] == n]
        for row in earlier:
            self.rows["persons"].remove(row)
            self.rows["attribute_history"].append(
                {"person_id": n, "at": row["valid_from"], "until": at, "email": None, "opted_out": False,
                 "attributes": row["attributes"]}
            )  # fmt: skip
        self.rows["persons"].append(
            {"id": n, "created_at": created, "changed_at": at, "valid_from": at, "attributes": attributes,
             "lifecycle_stage": attributes.get("lifecycle_stage")}
        )  # fmt: skip

    def did(self, n: int, kind: str, at: datetime, **attributes: Any) -> None:
        self.rows["activities"].append(
            {"person_id": n, "subject": f"hubspot:contact:{n}", "kind": kind, "at": at, "source": "test",
             "source_id": str(len(self.rows["activities"])), "attributes": attributes, "stored_at": at}
        )  # fmt: skip

    def rejected(self, n: int, at: datetime, reason: str = "too small") -> None:
        self.rows["hand_offs"].append(
            {"person_id": n, "rule": "hand_off", "entry": 1, "fits": [], "key": f"k{n}", "task": "none", "due_at": at,
             "state": "closed", "decided_at": at - DAY, "opened_at": at - DAY, "closed_at": at,
             "outcome": "rejected", "reason": reason}
        )  # fmt: skip

    def tried(self, goal: Goal = GOAL, count: int = 2) -> Backtest:
        self.save()
        return backtest(self.store, SCORER, goal, NOW, count)


@pytest.fixture
def past(store: Store) -> Past:
    return Past(store)


def counts(found: Backtest) -> list[tuple[int, int]]:
    return [(one.people, one.became) for one in found.instants]


@pytest.mark.parametrize("tells", [True, False])
def test_rules_that_tell_are_told_from_rules_that_do_not(past: Past, tells: bool) -> None:
    rng = np.random.default_rng(5)
    for n in range(1, 401):
        boss = bool(rng.random() < 0.3)
        past.known(n, job_title="Director" if boss else "Engineer")
        chance = 0.3 if boss and tells else 0.1
        for at in (FIRST, LAST):
            if rng.random() < chance:
                past.stage(n, "customer", at + float(rng.uniform(1, 89)) * DAY)
                break
    found = past.tried()
    (told,) = found.scores
    assert told.found.interval is not None
    low, high = told.found.interval
    assert (low > 0.5) is tells
    assert tells or low <= 0.5 <= high
    assert told.average_precision is not None
    assert (told.average_precision > 1.3 * told.found.people.share) is tells
    assert [one.at for one in found.instants] == [FIRST, LAST]
    assert told.found.people.successes == len({row["person_id"] for row in past.rows["stage_history"]})  # each once


def test_what_was_learned_after_the_instant_does_not_count(past: Past) -> None:
    """Whoever became a customer is called a director and looks at pages from then on, and only then."""
    for n in range(1, 101):
        past.known(n, job_title="Engineer")
        if n % 2:
            past.stage(n, "customer", LAST + 3 * DAY)
            past.known(n, LAST + DAY, job_title="Director")
            past.did(n, "page_view", LAST + timedelta(microseconds=1))
    found = past.tried(count=1)
    (told,) = found.scores
    assert counts(found) == [(100, 50)]
    assert told.found.auc == 0.5
    assert [(tenth.lowest, tenth.highest) for tenth in told.found.tenths] == [(15, 15)]


def test_only_who_had_not_reached_it_and_whose_time_is_over_counts(past: Past) -> None:
    for n, became in enumerate(
        [LAST - DAY, LAST, LAST + timedelta(seconds=1), NOW, NOW + timedelta(seconds=1), FIRST + DAY, None], 1
    ):
        past.known(n, job_title="Engineer")
        if became is not None:
            past.stage(n, "customer", became)
    past.known(8, LAST + DAY, created=LAST + DAY)  # not there yet
    past.known(9, LAST + DAY, created=LONG_AGO)  # there, and nobody knows how they were
    past.stage(9, "customer", LAST + 2 * DAY)
    found = past.tried()
    # As of FIRST: 1, 2 and 6 are on their way. As of LAST they are past it; 3 and 4 come in time, 5 comes too late.
    assert counts(found) == [(7, 3), (4, 2)]
    assert [(one.unknown, one.unknown_became) for one in found.instants] == [(1, 0), (1, 1)]
    assert found.scores[0].found.auc is None
    assert found.scores[0].average_precision is None


def test_a_stage_of_the_crm_and_a_purchase_tell_it_as_well_as_our_own_history(past: Past) -> None:
    for n in range(1, 5):
        past.known(n, job_title="Engineer", lifecycle_stage="lead")
    past.known(1, LAST + DAY, job_title="Engineer", lifecycle_stage="customer")
    past.known(2, LAST + DAY, job_title="Engineer", lifecycle_stage="customer")
    past.known(2, LAST + 2 * DAY, job_title="Engineer", lifecycle_stage="lead")  # was one for a day
    past.did(3, "purchase", LAST + DAY, amount=10)
    past.known(5, LONG_AGO, lifecycle_stage="evangelist")
    past.known(6, LONG_AGO, company='"lifecycle_stage":"customer"')  # a text that says so is none
    assert counts(past.tried(count=1)) == [(5, 3)]


def test_a_stage_that_sales_took_back_was_not_reached_and_the_reason_is_counted(past: Past) -> None:
    for n in range(1, 6):
        past.known(n, job_title="Engineer")
        past.stage(n, "sql", LAST + DAY)
    past.rejected(1, LAST + 5 * DAY)
    past.rejected(2, LAST + 6 * DAY, "no budget")
    past.rejected(3, LAST - 5 * DAY)  # of an earlier time: reached anew
    past.rejected(4, LAST + 5 * DAY)
    past.stage(4, "customer", LAST + 50 * DAY)
    past.save()
    to_sql = GOAL.model_copy(update={"reaches": LifecycleStage.SQL})
    found = backtest(past.store, SCORER, to_sql, NOW, 1)
    assert counts(found) == [(5, 3)]
    assert found.instants[0].sent_back == {"too small": 1, "no budget": 1}
    assert counts(backtest(past.store, SCORER, GOAL, NOW, 1)) == [(5, 1)]


def test_an_activity_can_be_the_goal_and_done_again(past: Past) -> None:
    for n, at in enumerate([LAST - DAY, LAST + DAY, NOW + DAY], 1):
        past.known(n, job_title="Engineer")
        past.did(n, "meeting", at)
    past.did(1, "meeting", LAST + DAY)
    assert counts(past.tried(Goal.model_validate({"activity": "meeting", "within": "90d"}), 1)) == [(3, 2)]


def test_who_the_score_does_not_apply_to_is_left_out_of_its_figures(past: Past) -> None:
    past.known(1, job_title="Director")
    past.known(2, job_title="Director")
    past.rows["objections"].append({"person_id": 2, "source": "operator", "at": NOW})
    found = past.tried(count=1)
    assert found.instants[0].people == 2
    assert found.scores[0].found.people.people == 1
