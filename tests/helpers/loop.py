"""A leadbridge of one's own against stand-ins of one's own: what the acceptance tests drive from outside."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadbridge.demo import Sandbox, configuration, effects_of, sandbox_process
from leadbridge.starting import example

MUTATING = {
    "hubspot": ("create", "update", "upsert", "archive", "merge", "gdpr_delete", "change"),
    "mailchimp": ("put", "patch", "create", "tags", "archive", "events", "trigger", "update", "run"),
}


@dataclass(slots=True)
class Loop:
    """One configuration, one store, one sandbox process."""

    sandbox: Sandbox
    config: Path
    environ: dict[str, str]

    @property
    def store_file(self) -> Path:
        return self.config.with_name("leadbridge.db")

    def run(self, *words: str, code: int = 0) -> str:
        """Run a leadbridge command as a user would; returns what it printed. Fails unless it exits with `code`."""
        command = [sys.executable, "-m", "leadbridge.cli", *words, "--config", str(self.config)]
        found = subprocess.run(command, env={**os.environ, **self.environ}, capture_output=True, text=True, timeout=120)
        assert found.returncode == code, f"{words} exited with {found.returncode}:\n{found.stdout}{found.stderr}"
        return found.stdout if code == 0 else found.stderr

    def figures(self, *words: str) -> dict[str, Any]:
        figures: dict[str, Any] = json.loads(self.run(*words, "--json"))
        return figures


@contextmanager
def loop(directory: Path, *options: str, base: Path | None = None) -> Iterator[Loop]:
    """A sandbox process with these options, and a configuration that points at it."""
    with sandbox_process(*options) as sandbox:
        config, environ = configuration(directory, sandbox, base or example())
        yield Loop(sandbox, config, environ)


def mutations(journal: list[dict[str, Any]]) -> Counter[str]:
    """Calls that may change something at a vendor, by vendor and operation."""
    return Counter(
        f"{call['vendor']} {call['operation']}"
        for call in journal
        if not call["operation"].startswith("webhook.")
        and call["operation"] != "batches.create"  # hands operations over; "batches.run" says whether they only read
        and call["method"] != "GET"
        and call["operation"].rsplit(".", 1)[-1] in MUTATING.get(call["vendor"], ())
    )


def score_writes(journal: list[dict[str, Any]], name: str = "leadbridge_score") -> Counter[str]:
    """How often each contact's score was changed, by contact id."""
    return Counter(effect["id"] for effect in effects_of(journal, "property_changed") if effect["name"] == name)


def own_equal_writes(journal: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Writes of ours that changed nothing."""
    return [e for e in effects_of(journal, "property_written_equal") if e["name"].startswith("leadbridge_")]
