"""Packages of other people, as `pip install` leaves them: a module, and metadata that name its entry point."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@contextmanager
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, **rooms: str) -> Iterator[None]:
    """Each name of `leadbridge.connectors` with the `module:Class` behind it, from the modules beside this one."""
    site = folder / "site"
    modules = {name: target.partition(":")[0] for name, target in rooms.items()}
    for name, target in rooms.items():
        info = site / f"{modules[name]}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {modules[name].replace('_', '-')}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[leadbridge.connectors]\n{name} = {target}\n")
        (site / f"{modules[name]}.py").write_text((HERE / f"{modules[name]}.py").read_text())
    monkeypatch.syspath_prepend(site)
    yield
    for module in modules.values():
        sys.modules.pop(module, None)
