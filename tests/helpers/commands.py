"""Commands as an operator gives them, in this process."""

import json
from collections.abc import Callable
from typing import Any

from typer.testing import Result

Run = Callable[..., Result]


def told(found: Result) -> Any:
    """What a command with `--json` answered."""
    return json.loads(found.stdout)
