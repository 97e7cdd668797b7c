"""Reports tell what happened: the truth built into invented histories is found again, on both databases."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from leadbridge.cli import app
from leadbridge.config.schema import Config
from leadbridge.store import Store, tables
from leadbridge.store.rows import insert_all
from leadbridge.types import LifecycleStage as S
from nurture.holdout import held_out
from sync import outcomes
from tests.helpers.config_files import ENVIRONMENT, SOUND, write
from tests.helpers.syncing import configuration, journey

NOW = datetime(2027, 7, 1, tzinfo=UTC)
START = NOW - timedelta(days=180)
MEASUREMENT = {
    "goal": {"reaches": "customer", "within": "90d"},
    "costs": [
        {"name": "content", "per_month": 1000, "since": "2027-01-01", "journey": "guides"},
        {"name": "fair", "once": 5000, "since": "2027-06-15"},
    ],
}


@pytest.fixture(scope="module")
def config() -> Config:
    return configuration("http://127.0.0.1:9", journey("guides", holdout="20%"), measurement=MEASUREMENT)


class History:
    """Rows of an invented past."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in tables.metadata.tables}

    def person(self, n: int) -> None:
        self.rows["persons"].append({"id": n, "created_at": START, "changed_at": START})

    def stage(self, n: int, stage: str, at: datetime) -> None:
        self.rows["stage_history"].append({"person_id": n, "stage": stage, "at": at})

    def drawn(self, n: int, at: datetime, *, treated: bool) -> None:
        if treated:
            self.rows["enrolments"].append(
                {
                    "person_id": n, "journey": "guides", "entry": 1, "state": "done", "vendor": "mailchimp",
                    "address": f"p{n}@acme.example", "trigger": "t", "reason_in": "", "created_at": at,
                    "state_at": at, "due_at": at, "expires_at": at,
                }
            )  # fmt: skip
        else:
            self.rows["holdouts"].append({"person_id": n, "journey": "guides", "at": at})

    def purchase(self, n: int, amount: float, at: datetime) -> None:
        self.rows["activities"].append(
            {
                "person_id": n, "subject": f"email:p{n}@acme.example", "kind": "purchase", "at": at,
                "source": "shop", "source_id": str(len(self.rows["activities"])), "attributes": {"amount": amount},
                "stored_at": at,
            }
        )  # fmt: skip

    def save(self) -> None:
        with self.store.writing() as tx:
            for table in tables.metadata.sorted_tables:
                insert_all(tx, table, self.rows[table.name])


@pytest.fixture
def history(store: Store) -> History:
    return History(store)


def test_the_effect_built_into_five_thousand_lives_is_inside_its_interval(history: History, config: Config) -> None:
    """Half a year: a fifth kept out by the real draw; 6 of 100 buy anyway, 12 of those in the journey."""
    rng = np.random.default_rng(23)
    for n in range(1, 5001):
        history.person(n)
        treated = not held_out(f"email:p{n}@acme.example", "guides", 0.2)
        at = START + timedelta(days=float(rng.uniform(0, 60)))
        history.drawn(n, at, treated=treated)
        history.stage(n, "mql", at)
        if rng.random() < (0.12 if treated else 0.06):
            bought = at + timedelta(days=float(rng.uniform(1, 89)))
            history.stage(n, "customer", bought)
            history.purchase(n, 500.0, bought)
    history.save()
    with history.store.reading() as tx:
        (found,) = outcomes.journeys(tx, config, NOW)
    assert found.treated.people + found.kept_out.people == 5000
    assert found.uplift is not None
    assert found.uplift.low <= 0.06 <= found.uplift.high
    assert found.uplift.always_low <= 0.06 <= found.uplift.always_high
    assert found.uplift.decided
    assert found.revenue is not None
    assert found.revenue[0] <= 0.06 * 500 <= found.revenue[2]
    assert found.gained == pytest.approx(found.revenue[1] * found.treated.people)
    assert found.gives_back is not None


def test_who_had_succeeded_before_and_whose_time_is_not_over_are_not_compared(history: History, config: Config) -> None:
    late = NOW - timedelta(days=10)
    for n, at in enumerate([START, START, late, START], 1):
        history.person(n)
        history.drawn(n, at, treated=n < 4)
    history.stage(1, "customer", START - timedelta(days=1))
    history.stage(2, "customer", START + timedelta(days=91))  # too late to count
    history.stage(4, "evangelist", START + timedelta(days=5))
    history.save()
    with history.store.reading() as tx:
        (found,) = outcomes.journeys(tx, config, NOW)
    assert (found.treated.people, found.treated.successes, found.too_early) == (1, 0, 1)
    assert (found.kept_out.people, found.kept_out.successes) == (1, 1)


def test_the_funnel_counts_who_is_where_who_went_on_and_how_long_it_took(history: History, config: Config) -> None:
    for n in range(1, 5):
        history.person(n)
        history.stage(n, "lead", START)
    history.stage(1, "mql", START + timedelta(days=10))
    history.stage(1, "customer", START + timedelta(days=40))  # jumps over the decision
    history.stage(2, "mql", START + timedelta(days=20))
    history.stage(2, "lead", START + timedelta(days=30))  # falls back, and has been there all the same
    history.save()
    with history.store.reading() as tx:
        found = outcomes.funnel(tx, config, NOW)
    assert [(part.here, part.reached, part.went_on) for part in found.parts] == [
        (3, 4, 2),
        (0, 2, 1),
        (0, 1, 1),
        (1, 1, 0),
    ]
    assert [part.days for part in found.parts] == [15.0, 30.0, 0.0, None]
    assert found.over_time[-1] == (NOW.date(), [3, 0, 0, 1])
    assert found.over_time[0][1] == [2, 2, 0, 0]  # the end of January


def test_who_is_in_no_stage_is_at_the_beginning_of_the_funnel(history: History, config: Config) -> None:
    for n in range(1, 4):
        history.person(n)
    history.stage(1, "mql", START + timedelta(days=10))
    history.stage(2, "mql", START + timedelta(days=20))
    history.rows["stage_history"].append({"person_id": 2, "stage": None, "at": START + timedelta(days=30)})
    history.save()
    with history.store.reading() as tx:
        found = outcomes.funnel(tx, config, NOW)
    assert [(part.here, part.reached, part.went_on) for part in found.parts[:2]] == [(2, 3, 2), (1, 2, 0)]
    assert found.parts[0].days == 15.0
    assert found.over_time[-1][1] == [2, 1, 0, 0]


def test_costs_are_counted_by_the_day_and_shared_among_those_who_newly_came(history: History, config: Config) -> None:
    for n, days in enumerate([100, 20, 10], 1):
        history.person(n)
        history.stage(n, "mql", NOW - timedelta(days=days))
    history.stage(3, "customer", NOW - timedelta(days=5))
    history.purchase(3, 9000.0, NOW - timedelta(days=5))
    history.save()
    with history.store.reading() as tx:
        found = outcomes.money(tx, config, NOW)
    assert found.spent == pytest.approx(5000 + 1000 * 90 / 30.436875)
    assert (found.revenue, found.reached[S.MQL], found.reached[S.CUSTOMER]) == (9000.0, 2, 1)
    assert found.cost_per(S.MQL) == pytest.approx(found.spent / 2)


def test_the_weeks_of_the_hand_off_count_what_both_teams_did(history: History, config: Config) -> None:
    monday = datetime(2027, 6, 21, tzinfo=UTC)
    blank = {"rule": "hand_off", "entry": 1, "fits": ["sales"], "task": "made", "due_at": NOW, "route": "sales"}
    ends = {"outcome": None, "reason": None, "closed_at": None, "breached_at": None, "touched_at": None}
    for n in range(1, 4):
        history.person(n)
    for n, more in enumerate(
        [
            {"state": "open", "touched_at": monday + timedelta(hours=3)},
            {"state": "closed", "outcome": "rejected", "reason": "no budget", "closed_at": monday + timedelta(days=1)},
            {"state": "open", "breached_at": monday + timedelta(hours=4)},
        ],
        1,
    ):
        history.rows["hand_offs"].append(
            blank
            | ends
            | more
            | {"person_id": n, "key": f"k{n}", "score": 60 + n, "decided_at": monday, "opened_at": monday}
        )
    history.save()
    with history.store.reading() as tx:
        found = outcomes.handed_over(tx, config, NOW)
    week = next(one for one in found.weeks if one.begins == monday.date())
    assert (week.handed_over, week.touched, week.in_time, week.overdue) == (3, 1, 1, 1)
    assert dict(week.outcomes) == {"rejected": 1}
    assert dict(week.reasons) == {"no budget": 1}
    assert found.hours_to_touch == 3.0


def test_without_a_cost_nothing_is_said_to_have_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    file = write(tmp_path, f"store: sqlite:///{tmp_path}/leadbridge.db\n{SOUND}")
    said = CliRunner().invoke(app, ["report", "roi", "--config", str(file)]).output
    assert "measurement.costs" in said
    assert "each" not in said.replace("what each cost", "")


@pytest.mark.parametrize("report", ["journeys", "funnel", "handoff", "roi", "accuracy"])
@pytest.mark.parametrize("how", [["--json"], []])
def test_every_report_is_a_command_that_reads_an_empty_store_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: str, how: list[str]
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    file = write(tmp_path, f"store: sqlite:///{tmp_path}/leadbridge.db\n{SOUND}")
    found = CliRunner().invoke(app, ["report", report, "--config", str(file), *how])
    assert found.exit_code == 0, found.output
    assert not how or json.loads(found.stdout)
