"""What `deploy/` starts is what the acceptance tests start, and it leaves every process the time it needs to end."""

import configparser
import re
import shlex
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.helpers.databases import Server
from tests.helpers.queues import NoRedis, Redis
from tests.helpers.scaled import BEAT, ROOT, RUN, WEB, WORKER, Process, site
from webhooks.processes import settings

DEPLOY = ROOT / "deploy"
TESTED = {RUN, WEB, WORKER, BEAT}
ENDS_WITHIN = 30


def documents(name: str) -> list[Any]:
    return list(YAML(typ="safe").load_all((DEPLOY / name).read_text(encoding="utf-8")))


def units() -> list[configparser.ConfigParser]:
    found = []
    for path in sorted((DEPLOY / "systemd").glob("*.service")):
        unit = configparser.ConfigParser(interpolation=None)
        unit.read(path, encoding="utf-8")
        found.append(unit)
    return found


def test_compose_starts_what_was_tested_and_waits_for_its_end() -> None:
    (compose,) = documents("compose.yaml")
    ours = [service for service in compose["services"].values() if service["image"] == "leadbridge"]
    assert {tuple(service["command"]) for service in ours} == {WEB, WORKER, BEAT}
    for service in ours:
        assert int(service["stop_grace_period"].removesuffix("s")) > ENDS_WITHIN


def test_kubernetes_starts_what_was_tested_and_waits_for_its_end() -> None:
    pods = [one["spec"]["template"]["spec"] for one in documents("kubernetes.yaml") if one["kind"] == "Deployment"]
    assert {tuple(pod["containers"][0]["args"]) for pod in pods} == {WEB, WORKER, BEAT}
    for pod in pods:
        assert pod["terminationGracePeriodSeconds"] > ENDS_WITHIN
        assert pod["securityContext"]["runAsNonRoot"]


def test_systemd_starts_what_was_tested_and_waits_for_its_end() -> None:
    started = set()
    for unit in units():
        service = unit["Service"]
        program, *words = shlex.split(service["ExecStart"])
        assert program.endswith("/leadbridge")
        assert words[-2:] == ["--config", "/etc/leadbridge/leadbridge.yaml"]
        started.add(tuple(words[:-2]))
        assert int(service["TimeoutStopSec"]) > ENDS_WITHIN
        assert service["KillMode"] == "mixed"  # the first of a family tells the others
    assert started == TESTED


def test_the_embedded_shape_stands_in_the_folder_that_systemd_lets_it_write_to() -> None:
    (unit,) = [unit["Service"] for unit in units() if " run " in unit["Service"]["ExecStart"]]
    assert unit["ProtectSystem"] == "strict"  # all else is read-only, /etc too
    assert unit["WorkingDirectory"] == f"/var/lib/{unit['StateDirectory']}"


def test_the_image_installs_only_what_was_pinned() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"pip install[^\\&]*", text):
        assert "--require-hashes" in line or "--no-deps" in line
    assert re.search(r"(?m)^USER leadbridge$", text)


def test_gunicorns_file_says_what_leadbridge_web_says() -> None:
    names: dict[str, Any] = {}
    exec((DEPLOY / "gunicorn.conf.py").read_text(encoding="utf-8"), names)
    for name, value in settings("127.0.0.1", 8080, 2).items():
        written = names[name]
        assert written == (f"{value.__module__}.{value.__qualname__}" if isinstance(value, type) else value), name


@pytest.mark.slow
def test_gunicorn_started_by_hand_serves_the_doors(tmp_path: Path, postgres_server: Server) -> None:
    try:
        redis = Redis(tmp_path)
    except NoRedis as missing:
        pytest.skip(str(missing))
    with postgres_server.database() as url, site(tmp_path, url, redis.url, count=1) as made:
        command = [sys.executable, "-m", "gunicorn", "-c", str(DEPLOY / "gunicorn.conf.py"), "--bind", "127.0.0.1:0"]
        process = Process(command=command, environ=made.environ | {"LEADBRIDGE_CONFIG": str(made.file)})
        try:
            address = process.heard(r"Listening at: (http\S+)")[1]
            with urllib.request.urlopen(f"{address}/readyz", timeout=30) as answer:
                assert answer.status == 200
            assert process.end(signal.SIGTERM) == 0
        finally:
            process.close()
            redis.close()
