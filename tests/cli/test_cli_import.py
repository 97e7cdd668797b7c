"""A table brings in who people are and what they did: all of it or nothing, and once however often it is imported."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from leadbridge.config.load import load
from leadbridge.store import Store, inbox, tables
from leadbridge.store.leads import people, people_by_key
from leadbridge.types import email_key
from sync import events, wiring
from tests.helpers.commands import Run, told
from tests.helpers.config_files import SOUND

TABLE = (
    "\ufeffE-Mail;event;timestamp;jobTitle;revenue;score\n"
    "ada@acme.example;;;Director;;\n"
    'ada@acme.example;Order Completed;2026-11-20T10:00:00+01:00;;"39.90";\n'
    "\n"
    "eda@acme.example;NPS Answered;2026-11-21;;;007\n"
)
WORDS = ("--column", "E-Mail=email", "--delimiter", ";", "--json")


@pytest.fixture
def intake(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that takes something in, and a table to bring in."""
    monkeypatch.setenv("INTAKE_KEY", "w" * 32)
    with (tmp_path / "leadbridge.yaml").open("a") as file:
        file.write('\nintake: {write_key: "${INTAKE_KEY}"}\n')
    table = tmp_path / "leads.csv"
    table.write_text(TABLE, encoding="utf-8")
    return table


def worked(folder: Path) -> list[tuple[str, str, float | None, str | None]]:
    parts = wiring.build(load(folder / "leadbridge.yaml"))
    try:
        events.work(parts.store, [], owner="w", wanted=parts.intake)
        with parts.store.reading() as tx:
            found = tx.execute(
                sa.select(tables.activities.c.kind, tables.activities.c.at, tables.activities.c.attributes)
            ).all()
    finally:
        parts.close()
    return sorted(
        (row.kind, f"{row.at:%Y-%m-%d %H:%M}", row.attributes.get("revenue"), row.attributes.get("score"))
        for row in found
    )


def test_a_table_becomes_activities_of_the_people_it_names_and_once_however_often(
    run: Run, intake: Path, tmp_path: Path, store: Store
) -> None:
    assert told(run("import", str(intake), *WORDS, "--dry-run")) == {"kept": 0, "lines": 3}
    assert worked(tmp_path) == []
    assert told(run("import", str(intake), *WORDS)) == {"kept": 3, "lines": 3}
    once = worked(tmp_path)
    assert once == [("purchase", "2026-11-20 09:00", 39.9, None), ("survey_answered", "2026-11-21 00:00", None, "007")]
    run("import", str(intake), *WORDS)
    assert worked(tmp_path) == once
    with store.reading() as tx:  # what eda did waits until a CRM, or a line, says who she is
        assert tx.scalar(sa.select(sa.func.count()).select_from(tables.persons)) == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("eda@acme.example;Order Completed;;;;", "line 6 has an event without a timestamp"),
        ("eda@acme.example;Order Completed;yesterday;;;", "line 6 has a timestamp that is none"),
        ("eda;Order Completed;2026-11-21;;;", "line 6 has an email that is no address"),
        (";;;Director;;", "line 6 says nobody; it needs an email or a user_id"),
        ("eda@acme.example;;;;;;;", "line 6 has 8 columns, the header 6"),
        ('eda@acme.example;"Order', "line 6 cannot be read, nor what follows it"),
    ],
)
def test_of_a_table_with_a_line_that_does_not_do_nothing_is_kept(
    run: Run, intake: Path, store: Store, line: str, why: str
) -> None:
    intake.write_text(TABLE + line, encoding="utf-8")
    said = run("import", str(intake), *WORDS, code=2)
    assert why in said.stderr
    assert "nothing was kept" in said.stderr
    with store.reading() as tx:
        assert inbox.oldest_deliveries(tx, store.vault, limit=1, most_events=1) == ([], [])


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("mail;event", "line 1 has neither email nor user_id; say which column it is: --column THEIRS=email"),
        ("E-Mail;score;score", "line 1 names a column twice: score"),
        ("E-Mail;;score", "line 1 has a column without a name"),
        ("email;event", "line 1 has no column 'E-Mail', which --column names; it has: email, event"),
        ("E-Mail,event", "line 1 has one column only; say what stands between two: --delimiter ','"),
    ],
)
def test_a_header_that_does_not_do_is_told_alone(run: Run, intake: Path, header: str, why: str) -> None:
    intake.write_text(f"{header}\nada@acme.example;;\n", encoding="utf-8")
    assert run("import", str(intake), *WORDS, code=2).stderr.splitlines()[0] == f"leads.csv: {why}"


def test_an_empty_table_is_told_as_one(run: Run, intake: Path) -> None:
    intake.write_text("", encoding="utf-8")
    assert run("import", str(intake), *WORDS, code=2).stderr.splitlines()[0] == "leads.csv: line 1 is empty"


def test_a_table_in_another_alphabet_is_told(run: Run, intake: Path) -> None:
    intake.write_bytes("E-Mail\nada@acme.example\nzoë@acme.example\n".encode("latin-1"))
    assert "save the table as CSV UTF-8" in run("import", str(intake), *WORDS, code=2).stderr


def test_where_nothing_is_taken_in_the_words_say_what_to_add(run: Run, tmp_path: Path) -> None:
    assert "intake" not in SOUND
    (tmp_path / "leads.csv").write_text("email\nada@acme.example\n")
    assert "add intake: {write_key" in run("import", str(tmp_path / "leads.csv"), code=2).stderr


MARKETO = """
intake:
  write_key: "${INTAKE_KEY}"
  events: {"1": page_view, "2": form_submitted, "10": email_opened, "11": email_clicked}
"""
MARKETO_LEADS = "id,email,leadScore,company\n318592,ada@acme.example,72,Acme\n"
MARKETO_ACTIVITIES = (
    "marketoGUID,leadId,activityDate,activityTypeId,campaignId,primaryAttributeValue\n"
    "783961924,318592,2026-11-20T10:00:00Z,2,11614,Demo request\n"
    "783961925,318592,2026-11-21T10:00:00Z,11,11614,Spring news\n"
)


def test_an_export_of_marketo_comes_in_by_its_own_columns_with_the_score_it_had(
    run: Run, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTAKE_KEY", "w" * 32)
    file = tmp_path / "leadbridge.yaml"
    text = file.read_text().replace("fields:\n", "fields:\n  marketo_score: {intake: leadScore, type: number}\n", 1)
    file.write_text(text + MARKETO)
    leads, activities = tmp_path / "leads.csv", tmp_path / "activities.csv"
    leads.write_text(MARKETO_LEADS)
    activities.write_text(MARKETO_ACTIVITIES)
    for _ in range(2):
        run("import", str(leads), "--column", "id=user_id")
        run("import", str(activities), "--column", "marketoGUID=message_id", "--column", "leadId=user_id",
            "--column", "activityDate=timestamp", "--column", "activityTypeId=event")  # fmt: skip
        assert [row[0] for row in worked(tmp_path)] == ["email_clicked", "form_submitted"]
    with store.reading() as tx:
        who = people_by_key(tx, [email_key("ada@acme.example")])[email_key("ada@acme.example")]
        assert people(tx, [who])[who].attributes["marketo_score"] == 72
        assert set(tx.execute(sa.select(tables.activities.c.person_id)).scalars()) == {who}
