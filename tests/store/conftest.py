"""What tests of the store share."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def processes() -> Iterator[Callable[..., dict[str, Any]]]:
    """`tests.helpers.store_processes`, ready to fork: call it with an order, get the answer."""
    command = [sys.executable, "-m", "tests.helpers.store_processes"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        read, write = process.stdout, process.stdin

        def ask(**order: Any) -> dict[str, Any]:
            print(json.dumps(order), file=write, flush=True)
            answer: dict[str, Any] = json.loads(read.readline())
            return answer

        yield ask
