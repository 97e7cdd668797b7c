"""Real leads from a CSV file by a mapping."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from leadbridge.sandbox.hubspot import HubSpot
from leadbridge.sandbox.leads_file import LeadsFileError, read
from leadbridge.sandbox.mailchimp import Mailchimp
from leadbridge.sandbox.people import load
from leadbridge.sandbox.world import World

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
MAPPINGS = REPOSITORY / "examples" / "data"

CSV = """\
Number,Country,Source,Visits,Last,Email?,Won,Secret
3,Select,Google,2,Opened,No,1,x
1,India,,0,Texted,No,0,y
2,Peru,Bing,lots,Left,Yes,0,z
4,Chile,Google,900,Dancing,No,1,x
"""
MAPPING = """\
email: "Lead {Number}@example.invalid"
created: {order_by: Number, spread: 8d}
empty: [Select]
columns:
  Country: country
  Source: {property: lead_source, type: enumeration}
  Visits: {property: visits, type: number, activity: page_view, count: true, url: "https://x.example/", at_most: 50}
  Last: {words: {Opened: email_opened, Texted: null, Left: null}}
consent:
  Email?: {opted_out: "Yes"}
outcome: Won
never_use: [Secret]
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    data, mapping = tmp_path / "leads.csv", tmp_path / "mapping.yaml"
    data.write_text(CSV, encoding="utf-8")
    mapping.write_text(MAPPING, encoding="utf-8")
    return data, mapping


def faults_of(files: tuple[Path, Path], mapping: str) -> list[str]:
    files[1].write_text(mapping, encoding="utf-8")
    with pytest.raises(LeadsFileError) as caught:
        read(*files, NOW)
    return caught.value.faults


def test_rows_become_people_in_the_order_of_the_column(files: tuple[Path, Path]) -> None:
    found = read(*files, NOW)
    assert [person.email for person in found.contacts] == [f"lead-{number}@example.invalid" for number in (1, 2, 3, 4)]
    assert [NOW - person.created for person in found.contacts] == [timedelta(days=days) for days in (8, 6, 4, 2)]
    third = found.contacts[2].properties
    assert "country" not in third  # "Select" means nothing
    assert (third["lead_source"], third["visits"]) == ("Google", "2")
    assert [touch.kind for touch in found.contacts[2].touches].count("page_view") == 2
    assert third["hs_analytics_num_page_views"] == "2"
    assert third["hs_email_open"] == "1"


def test_reading_twice_gives_the_same(files: tuple[Path, Path]) -> None:
    assert read(*files, NOW) == read(*files, NOW)


def test_activity_lies_between_creation_and_now(files: tuple[Path, Path]) -> None:
    for person in read(*files, NOW).contacts:
        assert all(person.created <= touch.at <= NOW for touch in person.touches)


def test_consent_is_respected_on_both_sides(files: tuple[Path, Path]) -> None:
    second = read(*files, NOW).contacts[1]
    assert second.properties["hs_email_optout"] == "true"
    assert second.subscription is not None
    assert (second.subscription.status, second.subscription.by_person) == ("unsubscribed", True)


def test_the_outcome_is_kept_aside_and_secrets_are_dropped(files: tuple[Path, Path]) -> None:
    found = read(*files, NOW)
    assert found.outcomes == {f"lead-{n}@example.invalid": won for n, won in ((1, "0"), (2, "0"), (3, "1"), (4, "1"))}
    names = {name for person in found.contacts for name in person.properties}
    assert not {"Won", "Secret", "won", "secret"} & names
    assert {definition["name"] for definition in found.properties} == {"lead_source", "visits"}


def test_what_is_odd_is_counted(files: tuple[Path, Path]) -> None:
    files[0].write_text(CSV + "5,too,few\nno,Peru,Bing,1,Left,No,0,z\n", encoding="utf-8")
    assert read(*files, NOW).remarks == [
        "Last: words without a meaning in the mapping ('Dancing'): 1",
        "Visits: counts above 50, cut: 1",
        "Visits: values that are no count, taken as none: 1",
        "Visits: values that are no number, left empty: 1",
        "leads.csv: rows with another number of columns than the header, left out: 1",
        "leads.csv: rows without a readable 'Number', left out: 1",
    ]


def test_a_limit_takes_the_newest_and_gz_is_read_too(files: tuple[Path, Path]) -> None:
    packed = files[0].with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(CSV.encode()))
    found = read(packed, files[1], NOW, limit=2)
    assert [person.email for person in found.contacts] == ["lead-3@example.invalid", "lead-4@example.invalid"]
    assert len(found.outcomes) == 2


def test_dates_can_be_moved_to_now(files: tuple[Path, Path]) -> None:
    files[0].write_text("id,day,page\na,2018-01-01,p\nb,2018-01-31,\n", encoding="utf-8")
    files[1].write_text(
        "email: '{id}@example.invalid'\ncreated: {date: day, shift: true}\n"
        "columns:\n  page: {property: first_page, activity: form_submitted, when: created}\n",
        encoding="utf-8",
    )
    first, second = read(*files, NOW).contacts
    assert (NOW - second.created, second.created - first.created) == (timedelta(days=1), timedelta(days=30))
    assert [(touch.kind, touch.at) for touch in first.touches] == [("form", first.created)]
    assert second.touches == ()


def test_a_forbidden_column_must_not_be_mapped(files: tuple[Path, Path]) -> None:
    faults = faults_of(files, MAPPING.replace("  Country: country\n", "  Country: country\n  Secret: secret\n"))
    assert faults == ["mapping.yaml:6: 'Secret' is under never_use and must not be mapped"]


def test_every_fault_is_told_at_once_with_its_line(files: tuple[Path, Path]) -> None:
    faults = faults_of(
        files,
        """\
email: "lead@example.invalid"
created: {order_by: Nummer, spread: long}
colour: red
columns:
  Country: {property: country, type: colour}
  Sourc: lead_source
  Visits: {property: visits, at_most: many, acivity: page_view}
  Last: {words: {Opened: email_read}}
consent:
  Email?: "Yes"
outcome: Won
""",
    )
    assert [int(fault.split(":")[1]) for fault in faults] == [1, 1, 2, 2, 3, 5, 6, 7, 7, 8, 10]
    assert "mapping.yaml:6: the data has no column 'Sourc'" in faults
    assert any("acivity" in fault for fault in faults)
    assert faults[0].endswith("'Number', 'Secret', 'Source'")  # nobody decided about these


@pytest.mark.parametrize("text", ["[", "- a list", ""])
def test_a_mapping_that_is_none(files: tuple[Path, Path], text: str) -> None:
    assert len(faults_of(files, text)) == 1


def test_an_address_made_twice_is_refused(files: tuple[Path, Path]) -> None:
    faults = faults_of(files, MAPPING.replace("Lead {Number}", "Lead {Won}"))
    assert [fault.rpartition(" ")[0] for fault in faults] == [
        "leads.csv:4: the address lead-0@example.invalid was made in line",
        "leads.csv:5: the address lead-1@example.invalid was made in line",
    ]


# --- the real thing ----------------------------------------------------------------------------------------------


def real(folder: str, name: str) -> Path:
    path = DATA / folder / name
    if not path.exists():
        pytest.skip(f"the real data {folder}/{name} is not beside this repository")
    return path


def test_x_education_loads_without_its_leaks() -> None:
    path = real("x_education", "leads.csv.gz")
    found = read(path, MAPPINGS / "x_education.yaml", NOW, limit=400)
    assert len(found.contacts) == 400
    names = {definition["name"] for definition in found.properties}
    assert not {name for name in names if "asym" in name or "quality" in name or "tag" in name}
    assert set(found.outcomes.values()) == {"0", "1"}
    assert all("Select" not in person.properties.values() for person in found.contacts)
    out = [person for person in found.contacts if person.properties.get("hs_email_optout") == "true"]
    assert out
    world = World(NOW)
    hubspot, mailchimp = HubSpot(world), Mailchimp(world)
    load(found, hubspot, mailchimp)
    assert all(mailchimp.member(person.email).compliance for person in out)
    assert "Converted" not in str(hubspot.dump()["properties"])


def test_olist_keeps_its_distances_in_time() -> None:
    found = read(real("olist", "marketing_qualified_leads.csv.gz"), MAPPINGS / "olist.yaml", NOW)
    assert len(found.contacts) == 5612
    assert found.contacts[-1].created == NOW - timedelta(days=1)
    assert found.contacts[-1].created - found.contacts[0].created == timedelta(days=351)
    assert found.remarks == []
