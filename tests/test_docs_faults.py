"""The page of faults names tests that exist, for each fault."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
FAULTS = 45
TALLIED = {*range(1, 16), *range(20, 29), 41, 44, 45}
"""Faults whose tests say what was lost, done twice or wrong, and how long it took until all was well again."""


def named() -> dict[int, str]:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    return {int(number): shown for number, shown in ROW.findall(page)}


def test_every_fault_has_its_tests() -> None:
    rows = named()
    assert list(rows) == list(range(1, FAULTS + 1))
    assert [number for number, shown in rows.items() if not NAMED.findall(shown)] == []


def function(file: str, name: str) -> ast.FunctionDef | None:
    path = ROOT / "tests" / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    return next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def test_every_test_named_there_exists() -> None:
    missing = [
        f"fault {number}: {file}::{name}"
        for number, shown in named().items()
        for file, name in NAMED.findall(shown)
        if function(file, name) is None
    ]
    assert missing == []


def tallied(found: ast.FunctionDef | None) -> set[int]:
    """The faults of which a test reports what became of them."""
    calls = [node for node in ast.walk(found) if isinstance(node, ast.Call)] if found else []
    named = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "tally"]
    return {one.value for one in named if isinstance(one, ast.Constant) and isinstance(one.value, int)}


def test_every_fault_of_the_path_of_events_is_reported_as_lost_duplicate_wrong_and_recovered() -> None:
    told = {
        number
        for number, shown in named().items()
        if number in set().union(*(tallied(function(file, name)) for file, name in NAMED.findall(shown)))
    }
    assert told == TALLIED
