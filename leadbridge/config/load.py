"""YAML plus environment to Config: all faults at once, each with its line (style principle 10)."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from leadbridge.config import document, whole
from leadbridge.config.bind import LEFT_OUT, Binder
from leadbridge.config.editors import json_schema
from leadbridge.config.facts import Facts
from leadbridge.config.faults import Faults
from leadbridge.config.schema import Config
from leadbridge.errors import ConfigError

__all__ = ["as_written", "json_schema", "load"]

_STAND_IN = "not-set-here-and-long-enough-us1"
"""Has the look of every kind of secret."""


def load(path: str | Path, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in a file, with its secrets from `environ` (default: the process's).

    Raises ConfigError, and nothing else, with every fault found: syntax, unknown keys, wrong values, missing
    variables, and what contradicts itself across the file. Takes a bounded time whatever the file holds; shows no
    secret in any message.
    """
    faults = Faults()
    config = _load(Path(path), os.environ if environ is None else environ, faults)
    if faults or config is None:
        raise ConfigError(str(path), faults.listed())
    return config


def as_written(path: str | Path) -> tuple[Config, list[str]]:
    """What the file says, whether its secrets are set here or not, and the variables that are not set.

    For judging a file where its secrets are not; the Config is good for describing only. Raises ConfigError as `load`
    does, without the faults of variables that are not set, as long as there are others.
    """
    filled = _Filled(os.environ)
    faults, strict = Faults(), Faults()
    config = _load(Path(path), filled, faults)
    if not faults and config is not None:
        return config, filled.missing
    _load(Path(path), os.environ, strict)
    raise ConfigError(str(path), [fault for fault in strict.listed() if fault in faults.listed()] or strict.listed())


class _Filled(Mapping[str, str]):
    """An environment in which every variable has a value; `missing` are those that had none."""

    def __init__(self, real: Mapping[str, str]) -> None:
        self._real = real
        self.missing: list[str] = []

    def __getitem__(self, name: str) -> str:
        if name in self._real or name.endswith("_FILE") or f"{name}_FILE" in self._real:
            return self._real[name]
        if name not in self.missing:
            self.missing.append(name)
        return _STAND_IN

    def __iter__(self) -> Iterator[str]:
        return iter(self._real)

    def __len__(self) -> int:
        return len(self._real)


def _load(path: Path, environ: Mapping[str, str], faults: Faults) -> Config | None:
    raw = _read(path, faults)
    tree = None if raw is None else document.read(raw, faults)
    if tree is None:
        if not faults:
            faults.add(
                0, (), "is empty; start from examples/hubspot-mailchimp.yaml, or from what `leadbridge init` writes"
            )
        return None
    if tree.kind != "table":
        faults.add(tree.line, (), "needs keys such as connections: and scores:, each on a line of its own")
        return None
    facts = Facts(tree)
    config = Binder(faults, facts, environ).section(tree, Config)
    whole.check(tree, facts, faults)
    return None if config is LEFT_OUT else config


def _read(path: Path, faults: Faults) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(document.MAX_BYTES + 1)
    except FileNotFoundError:
        faults.add(
            0,
            (),
            "is not there; copy examples/hubspot-mailchimp.yaml to this name, let `leadbridge init` write it, or name "
            "another with --config",
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        faults.add(0, (), f"cannot be read: {reason}")
    return None
