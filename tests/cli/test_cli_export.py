"""The call list: one order, a list for each owner, and nothing a stranger wrote runs in a spreadsheet (G28)."""

import csv
import io
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from leadbridge import spreadsheet
from leadbridge.store import Store, leads, ranking, scores
from leadbridge.types import LifecycleStage, Score
from tests.helpers.commands import Run, told
from tests.helpers.store_people import NOW, people

HOSTILE = [
    '=HYPERLINK("http://evil.example","click")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", " \t=1+1", "＝1+1",
    'a";=1+1;"', "line\none", "\x1b[31mred",
]  # fmt: skip
BEGINS_A_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r")


@pytest.fixture
def export(store: Store, run: Run) -> Run:
    fill(store)
    return lambda *words, **code: run("export", *words, **code)


def fill(store: Store) -> None:
    """Nine people with hostile titles in three countries, of whom the last is best; and one without a score."""
    with store.writing() as tx:
        ids = people(tx, len(HOSTILE) + 1)
        rows = [
            leads.PersonRow(who, f"l{n}@acme.example", {"job_title": title, "country": ["ES", "NO", None][n % 3]})
            for n, (who, title) in enumerate(zip(ids, [*HOSTILE, "idle"], strict=True))
        ]
        leads.save_people(tx, rows, NOW)
        ranks = [Score(who, "lead", 10 * n // 2, "A", {}, (), "model", NOW) for n, who in enumerate(ids[:-1])]
        scores.save_scores(tx, ranks, NOW)
        told = [scores.Standing(who, LifecycleStage.MQL, NOW, None, reasons={"lead": "head +15"}) for who in ids]
        scores.save_standings(tx, told, NOW)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def lists(found: Result) -> dict[str | None, list[int]]:
    answer: dict[str, Any] = told(found)
    return {each["owner"]: [line["score"] for line in each["people"]] for each in answer["lists"]}


def test_the_best_come_first_for_all_and_for_each_owner_with_those_of_none_last(export: Run) -> None:
    assert lists(export("--json")) == {None: [40, 35, 30, 25, 20, 15, 10, 5, 0]}
    assert lists(export("--json", "--by", "country")) == {"ES": [30, 15, 0], "NO": [35, 20, 5], None: [40, 25, 10]}
    assert list(lists(export("--json", "--by", "country"))) == ["ES", "NO", None]
    cut = told(export("--json", "--by", "country", "--limit", "1"))
    assert [(len(each["people"]), each["left_out"]) for each in cut["lists"]] == [(1, 2)] * 3
    assert "country NO" in export("--by", "country").stdout


def test_what_a_stranger_wrote_is_text_in_every_cell(export: Run, tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    export("--csv", str(file), "--show", "job_title", "--by", "country")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = table(file.read_text(encoding="utf-8-sig"))
    assert len(rows) == len(HOSTILE)
    assert not any(cell.lstrip(" ").startswith(BEGINS_A_FORMULA) for row in rows for cell in row.values())
    titles = {row["job_title"] for row in rows}
    assert {"'-2+3", "'@SUM(A1)", "'＝1+1", 'a";=1+1;"', "[31mred", "line\none"} <= titles
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * 3
    assert table(export("--csv", "-").stdout)[0]["email"] == "l8@acme.example"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".calls")] == []


@given(st.text())
def test_no_text_begins_a_formula_and_none_breaks_out_of_its_cell(text: str) -> None:
    out = io.StringIO()
    spreadsheet.write(out, ["a", "b"], [[text, -5]])
    ((first, second),) = [list(row.values()) for row in table(out.getvalue())]
    assert second == "-5"
    assert not first.lstrip().startswith(BEGINS_A_FORMULA)
    assert first.removeprefix("'") == spreadsheet.clean(text) or first == spreadsheet.clean(text)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--by", "owner"), "owner is not a field; there is: job_title"),
        (("--show", "owner"), "owner is not a field"),
        (("--score", "leed"), "leed is no score; there is: lead"),
        (("--json", "--csv", "x.csv"), "give one of them"),
    ],
)
def test_what_is_not_there_is_wrong_use(export: Run, words: tuple[str, ...], told: str) -> None:
    assert told in export(*words, code=2).output


def test_a_file_that_cannot_be_written_is_a_failure_that_leaves_nothing(export: Run, tmp_path: Path) -> None:
    assert "cannot be written" in export("--csv", str(tmp_path / "nowhere" / "x.csv"), code=1).output


def test_the_whole_order_is_read_in_pieces_on_every_store(store: Store) -> None:
    with store.writing() as tx:
        ids = people(tx, 2500)
        scores.save_scores(tx, [Score(who, "lead", who % 7, None, {}, (), "model", NOW) for who in ids], NOW)
    with store.reading() as tx:
        found = [row.person_id for row in ranking.ranked(tx, "lead")]
    assert found == sorted(ids, key=lambda who: (-(who % 7), who))
