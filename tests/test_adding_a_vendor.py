"""docs/ADDING_A_VENDOR.md is true for every vendor there is, and the feature matrix says what the rooms declare."""

import csv
import re
from pathlib import Path

import pytest

from connectors import registry
from connectors.base import Crm, EmailPlatform

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ADDING_A_VENDOR.md").read_text()
VENDORS = {**registry.CRMS, **registry.EMAIL_PLATFORMS}
FILES = re.findall(r"^\| `([^`]*VENDOR[^`]*)` \|", PAGE, re.MULTILINE)
LINES = re.findall(r"`([a-z_/.-]+)` \(", PAGE.split("And a line in each of these:")[1])


def test_the_page_lists_the_furniture_of_a_room() -> None:
    assert len(FILES) == 10
    assert len(LINES) == 6


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("name", FILES)
def test_every_room_has_every_file_of_the_list(vendor: str, name: str) -> None:
    place = ROOT / name.replace("VENDOR", vendor)
    assert place.exists() or place.with_suffix(".py").is_file(), f"{place.relative_to(ROOT)} is missing"
    if place.is_dir():
        assert any(place.glob("*.py"))


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("name", LINES)
def test_every_vendor_is_named_in_every_place_of_the_list(vendor: str, name: str) -> None:
    place = ROOT / name
    texts = [one.read_text() for one in place.rglob("*.py")] if place.is_dir() else [place.read_text()]
    assert any(vendor in text.lower() for text in texts)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendors_page_says_how_to_set_it_up_and_ends_with_quirks(vendor: str) -> None:
    heads = re.findall(r"^## (.+)$", (ROOT / "docs" / "vendors" / f"{vendor}.md").read_text(), re.MULTILINE)
    assert heads[0] == "Setting up"
    assert heads[-1] == "Quirks"


def _abilities(room: type[Crm | EmailPlatform]) -> frozenset[str]:
    """What a room declares beyond what its contract demands: the optional blanks it has filled, by name.

    Nothing is declared twice: a blank that is filled is the declaration. `docs/vendors/feature-matrix.csv` lists them.
    """
    contract = Crm if issubclass(room, Crm) else EmailPlatform
    optional = {
        name
        for name, blank in vars(contract).items()
        if callable(blank) and not name.startswith("_") and name not in contract.__abstractmethods__
    }
    return frozenset(name for name in optional if getattr(room, name) is not getattr(contract, name))


def test_the_feature_matrix_says_what_the_rooms_declare() -> None:
    with (ROOT / "docs" / "vendors" / "feature-matrix.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = {(row["vendor"], row["contract"], row["ability"]) for row in rows}
    rooms = {vendor: registry._load(target) for vendor, target in VENDORS.items()}
    assert told == {
        (vendor, "Crm" if issubclass(room, Crm) else "EmailPlatform", ability)
        for vendor, room in rooms.items()
        for ability in _abilities(room)
    }
    assert all(row["what it does"] for row in rows)


def test_the_example_of_the_page_is_the_package_that_passes_the_suite() -> None:
    shown = PAGE.split("```yaml")[1].split("```")[0]
    used = (ROOT / "tests" / "plugin" / "test_plugin_crm.py").read_text().replace("{{", "{").replace("}}", "}")
    for line in (line.strip() for line in shown.splitlines()):
        assert line.split(" base_url")[0] in used, line
