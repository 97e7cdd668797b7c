"""Figures to hold (DESIGN section 11): `python -m benchmarks.NAME [--quick] [--json]`."""

import argparse
import json
from collections.abc import Mapping
from typing import Any


def arguments(about: str | None, quick: str = "end within a minute") -> argparse.ArgumentParser:
    """What each benchmark takes: `quick` says what --quick does."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return parser


def tell(found: Mapping[str, Any], as_json: bool) -> int:
    """Print a result; details of two levels are one row each. Returns the exit code: 1 when a bound is missed."""
    if as_json:
        print(json.dumps(found))
    else:
        rows = {key: value for key, value in found.items() if key != "details"}
        for key, value in found["details"].items():
            rows |= {f"{key} {part}": one for part, one in value.items()} if isinstance(value, dict) else {key: value}
        width = max(map(len, rows)) + 2
        print("\n".join(f"{key:<{width}}{value}" for key, value in rows.items()))
    return 0 if found["holds"] else 1
