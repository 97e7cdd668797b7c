"""The commands about scores: why one is what it is, now and then, and who would move before anything does (N3)."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from leadbridge.store import Store, activities, leads
from leadbridge.types import Activity, ActivityKind, email_key
from tests.helpers.commands import Run, told
from tests.helpers.store_people import NOW, person
from tests.helpers.storedump import dump

ADA = "ada@acme.example"


@pytest.fixture
def command(store: Store, run: Run) -> Run:
    """Over a store in which Ada became VP five days after she was first known, and looked at a price on the tenth."""
    with store.writing() as tx:
        ada = person(tx, "1", ADA)
        for days, title in ((0, "Engineer"), (5, "VP Sales")):
            at = NOW + timedelta(days=days)
            leads.save_people(tx, [leads.PersonRow(ada, ADA, {"job_title": title}, valid_from=at)], at)
        at = NOW + timedelta(days=10)
        row = Activity(email_key(ADA), ActivityKind.PAGE_VIEW, at, "test", "1", {"url": "https://acme.example/pricing"})
        activities.add_activities(tx, [row], at)
    return run


def test_a_score_is_explained_as_of_any_day_and_against_any_other(command: Run) -> None:
    def values(*words: str) -> list[int]:
        return [score["value"] for score in told(command("explain", ADA, "--json", *words))["scores"]]

    assert [values(), values("--at", "2026-03-08"), values("--at", "2026-03-03")] == [[23], [15], [0]]
    shown = command("explain", ADA, "--at", "2026-03-13").stdout
    assert "lead: 23 of 100, grade B, by rules " in shown
    assert "job_title: VP Sales" in shown
    assert "would be" in shown
    moved = told(command("explain", ADA, "--against", "2026-03-03", "--at", "2026-03-08", "--json"))
    assert [(one["before"], one["now"]) for one in moved["scores"]] == [(0, 15)]
    assert moved["fields"] == {"job_title": {"before": "Engineer", "now": "VP Sales"}}
    words = command("explain", ADA, "--against", "2026-03-08").stdout
    assert "lead: 15 → 23" in words
    assert "1 more: page view" in words


def test_the_lines_shown_add_up_to_the_hundredth(command: Run, tmp_path: Path) -> None:
    file = tmp_path / "leadbridge.yaml"
    file.write_text(file.read_text().replace("points: 15}", "points: 15.125}").replace("points: 8}", "points: 8.125}"))
    shown = command("explain", ADA, "--at", "2026-03-13").stdout
    points = re.findall(r"^ *([+-]\d+\.\d\d) ", shown, re.MULTILINE)
    assert points == ["+15.13", "+8.13", "-0.26"]
    assert "lead: 23 of 100" in shown


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--at", "yesterday"), 2, "--at"),
        (("--against", "2026-13-01"), 2, "--against"),
        (("--at", "2026-03-03", "--against", "2026-03-08"), 2, "is not before"),
        (("--at", "2025-01-01"), 1, "nothing was known of them at 2025-01-01"),
    ],
)
def test_an_instant_that_does_not_serve_is_told(command: Run, words: tuple[str, ...], code: int, told: str) -> None:
    assert told in command("explain", ADA, *words, code=code).output


def test_two_files_are_compared_and_a_dry_run_changes_nothing(command: Run, store: Store, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/leadbridge.db"
    before = dump(url)
    dry = told(command("score", "--dry-run", "--by", "job_title", "--json"))
    assert dry["people"] == 1
    old = tmp_path / "old.yaml"
    old.write_text((tmp_path / "leadbridge.yaml").read_text().replace("points: 15}", "points: 35}"))
    compared = command("score", "--compare", str(old)).stdout
    assert "lead: 1 move, 0 up and 1 down (rules" in compared
    assert "nothing was changed" in compared
    assert "43" in compared
    assert "mql" in compared  # at 43, and no longer at 23
    assert dump(url) == before
    assert "goes with --dry-run or --compare" in command("score", "--by", "job_title", code=2).output
    done = told(command("score", "--json"))
    assert (done["people"], done["moved"]) == (1, 1)
    assert dump(url) != before
