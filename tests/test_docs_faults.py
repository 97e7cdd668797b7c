"""The page of faults names tests that exist, for each fault."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
FAULTS = 45


def named() -> dict[int, str]:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    return {int(number): shown for number, shown in ROW.findall(page)}


def test_every_fault_has_its_tests() -> None:
    rows = named()
    assert list(rows) == list(range(1, FAULTS + 1))
    assert [number for number, shown in rows.items() if not NAMED.findall(shown)] == []


def test_every_test_named_there_exists() -> None:
    missing = []
    for number, shown in named().items():
        for file, name in NAMED.findall(shown):
            path = ROOT / "tests" / file
            tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
            if not any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body):
                missing.append(f"fault {number}: {file}::{name}")
    assert missing == []
