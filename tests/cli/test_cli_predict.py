"""The commands that look back: what the past says of the rules, in words and as data."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from leadbridge import clock
from leadbridge.store import Store, leads
from leadbridge.types import email_key
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


def filled(store: Store, told: float) -> None:
    """Four hundred people; heads of something come five times as often, if it is told so."""
    found, rng = Past(store), np.random.default_rng(2)
    for n in range(1, 401):
        boss = bool(rng.random() < 0.3)
        found.known(n, job_title="Head of Sales" if boss else "Engineer")
        for back in (3, 2, 1):
            if rng.random() < 0.08 + 0.32 * told * boss:
                found.stage(n, "customer", NOW - (90 * back - 9) * DAY)
                break
    found.save()


def test_a_model_is_learned_written_taken_up_and_explained(run: Run, store: Store, tmp_path: Path) -> None:
    filled(store, 1.0)
    file, config = tmp_path / "lead.model.json", tmp_path / "leadbridge.yaml"
    words = run("train", "--instants", "3").stdout
    assert "learned from" in words
    assert "decision maker, given" in words
    assert "pricing page: never given" in words
    assert "written nowhere" in words
    assert not file.exists()
    found = told(run("train", "--instants", "3", "--out", str(file), "--json"))
    assert json.loads(file.read_text()) == found["model"]
    line = {line["rule"]: line for line in found["scorecard"]}["decision maker"]
    assert line["sure"]
    assert line["points"] > 10  # their odds are more than doubled
    before = "    categories: {fit: {max: 40}, engagement: {max: 40}}\n"
    after = f"    categories: {{fit: {{max: 40}}, engagement: {{max: 40}}, likely: {{max: 20, model: {file}}}}}\n"
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after))
    with store.writing() as tx:
        (boss,) = leads.new_people(tx, 1, NOW)
        leads.link_keys(tx, {email_key("ada@acme.example"): boss})
        leads.save_people(tx, [leads.PersonRow(boss, "ada@acme.example", {"job_title": "VP"}, valid_from=NOW)], NOW)
    (score,) = told(run("explain", "ada@acme.example", "--json"))["scores"]
    assert score["probability"] > score["average"] > 0
    assert score["odds_times"]["decision maker"] > 2
    assert sum(one["points"] for one in score["contributions"]) == pytest.approx(score["value"])
    shown = run("explain", "ada@acme.example").stdout
    assert "likely to become customer: " in shown
    assert "times by decision maker" in shown
    tried = run("backtest", "--instants", "3").stdout
    assert "only later days count" in tried
    assert "were expected" in tried


@pytest.mark.parametrize(
    ("people_told", "words", "code", "said"),
    [
        (0.0, ("--instants", "3"), 3, "no better than chance"),
        (1.0, ("--instants", "1", "--within", "270d"), 3, "more instants"),
        (1.0, ("--reaches", "evangelist"), 3, "at least 50"),
        (1.0, ("--score", "leads"), 2, "there is no score leads; there is: lead"),
    ],
)
def test_a_model_that_nobody_could_trust_is_not_written(
    run: Run, store: Store, tmp_path: Path, people_told: float, words: tuple[str, ...], code: int, said: str
) -> None:
    filled(store, people_told)
    file = tmp_path / "lead.model.json"
    assert said in run("train", *words, "--out", str(file), code=code).output
    assert not file.exists()


def test_what_tells_too_well_is_named(run: Run, store: Store, tmp_path: Path) -> None:
    found = Past(store)
    for n in range(1, 301):
        came = n % 5 == 0
        found.known(n, job_title="Head of Sales" if came else "Engineer")
        if came:
            found.stage(n, "customer", NOW - (90 * (1 + n % 2) - 9) * DAY)
    found.save()
    file = tmp_path / "lead.model.json"
    said = run("train", "--instants", "2", "--out", str(file), code=1).stdout
    assert "rule decision maker: " in said
    assert "--honest NAME" in said
    assert not file.exists()
    run("train", "--instants", "2", "--out", str(file), "--honest", "decision maker")
    assert file.exists()


def test_without_the_extra_training_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert "pip install 'leadbridge[prediction]'" in run("train", code=1).output
