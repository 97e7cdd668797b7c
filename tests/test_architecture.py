"""The shape that everything is built inside."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_go_down_only() -> None:
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout


def test_the_command_answers_help_without_loading_the_heavy_parts() -> None:
    heavy = ("numpy", "sqlalchemy", "flask", "hubspot", "mailchimp_marketing", "alembic", "ruamel")
    code = f"import sys, leadbridge.cli; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_there_is_one_reader_of_the_wall_clock() -> None:
    readers = [
        path.relative_to(ROOT).as_posix()
        for room in ("leadbridge", "connectors", "scoring", "nurture", "sync", "webhooks")
        for path in (ROOT / room).rglob("*.py")
        if "sandbox" not in path.parts and "datetime.now(" in path.read_text(encoding="utf-8")
    ]
    assert readers == ["leadbridge/clock.py"]


def test_there_is_one_way_to_a_contact() -> None:
    """Every path to a mail passes the gate, because one function alone calls the platform (reliability pattern 7)."""
    call = re.compile(r"\bplatform\.enrol\(|\b_journeys\.enrol\(|members\.tags|journeys\.trigger\b")
    callers = sorted(
        path.relative_to(ROOT).as_posix()
        for room in ("leadbridge", "connectors", "scoring", "nurture", "sync", "webhooks")
        for path in (ROOT / room).rglob("*.py")
        if "sandbox" not in path.parts and call.search(path.read_text(encoding="utf-8"))
    )
    assert callers == ["connectors/mailchimp/connector.py", "connectors/mailchimp/journeys.py", "sync/enrol.py"]
    marking = (ROOT / "connectors" / "mailchimp" / "members.py").read_text(encoding="utf-8")
    assert marking.count("update_list_member_tags(") == marking.count('"is_syncing": True') == 1  # which starts nothing
    sender = (ROOT / "sync" / "enrol.py").read_text(encoding="utf-8")
    assert sender.count("platform.enrol(") == 1
    asked = (ROOT / "sync" / "verdicts.py").read_text(encoding="utf-8")
    adder = (ROOT / "sync" / "consent.py").read_text(encoding="utf-8")  # a new member may be mailed a welcome
    assert "gate.before_call(" in asked
    assert all("verdicts.verdict(" in one and "bounds.allowance(" in one for one in (sender, adder))
