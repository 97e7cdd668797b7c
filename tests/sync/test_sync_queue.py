"""The queue is a doorbell: what is in it, how little it may hold, and what its end costs (G10, pattern 3)."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leadbridge.config.schema import Config
from leadbridge.errors import ConfigError
from sync import celery_app
from sync.celery_app import LASTS, PULL, WORK, Bell, make_app
from tests.helpers.queues import NoRedis, Redis
from tests.helpers.syncing import configuration
from tests.helpers.waiting import LONG
from webhooks.writer import Doorbell

STORE = "postgresql://leadbridge@db.acme.example/leadbridge"


@pytest.fixture(scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    try:
        found = Redis(tmp_path_factory.mktemp("redis"))
    except NoRedis as missing:
        pytest.skip(str(missing))
    yield found
    found.close()


@pytest.fixture
def redis(_server: Redis) -> Redis:
    _server.ask("FLUSHALL")
    return _server


def settings(queue: str | None, store: str = STORE) -> Config:
    return configuration("http://127.0.0.1:1", store=store, queue=queue)


def test_a_hint_says_nothing_but_look(redis: Redis) -> None:
    bell = Bell(settings(redis.url))
    bell.ring()
    (raw,) = redis.ask("LRANGE", WORK, 0, -1)
    message: dict[str, Any] = json.loads(raw)
    assert message["content-type"] == "application/json"
    assert message["headers"]["task"] == WORK
    assert message["headers"]["expires"] is not None
    assert message["headers"]["argsrepr"] == "()"
    bell.close()


def test_hints_that_nobody_takes_do_not_fill_the_queue(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_app, "MOST_WAITING", 5)
    bell = Bell(settings(redis.url))
    for _ in range(20):
        bell.ring()
    assert redis.ask("LLEN", WORK) == 5
    bell.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_or_frozen_queue_never_holds_up_the_door(tmp_path: Path, how: signal.Signals) -> None:
    try:
        redis = Redis(tmp_path)
    except NoRedis as missing:
        pytest.skip(str(missing))
    bell = Bell(settings(redis.url), patience=0.2)
    redis.signal(how)
    tried = threading.Event()

    def ring() -> None:
        try:
            bell.ring()
        finally:
            tried.set()

    doorbell = Doorbell(ring)
    began = time.thread_time()
    for _ in range(1000):
        doorbell.ring()
    assert time.thread_time() - began < 1  # of this thread's own time: it waited for nothing
    assert tried.wait(LONG)
    doorbell.stop()
    redis.close()


def test_a_queue_without_memory_left_is_a_lost_hint_and_nothing_else(tmp_path: Path) -> None:
    try:
        redis = Redis(tmp_path, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
    except NoRedis as missing:
        pytest.skip(str(missing))
    bell = Bell(settings(redis.url), patience=0.5)
    tried = threading.Event()

    def ring() -> None:
        try:
            bell.ring()
        finally:
            tried.set()

    doorbell = Doorbell(ring)
    doorbell.ring()
    assert tried.wait(LONG)
    assert redis.ask("LLEN", WORK) == 0
    doorbell.ring()  # it is still there
    doorbell.stop()
    redis.close()


def test_after_a_failure_the_queue_is_left_alone_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bell = Bell(settings(f"redis+socket://{tmp_path}/nobody.sock"), patience=0.2)
    with pytest.raises(Exception, match=r"nobody\.sock"):
        bell.ring()
    bell.ring()  # not even tried
    monkeypatch.setattr(bell, "_rest_until", 0.0)
    with pytest.raises(Exception, match=r"nobody\.sock"):
        bell.ring()


def test_the_queue_cannot_make_a_worker_run_anything_but_its_two_tasks() -> None:
    app = make_app(settings("redis://127.0.0.1:1"))
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_ignore_result
    assert app.conf.worker_enable_remote_control is False
    app.loader.import_default_modules()
    ours = {name for name in app.tasks if not name.startswith("celery.")}
    assert ours == {WORK, PULL}


def test_the_clock_rings_as_often_as_a_lost_hint_may_delay_work() -> None:
    app = make_app(settings("redis://127.0.0.1:1"))
    for name in (WORK, PULL):
        entry = app.conf.beat_schedule[name]
        assert entry["schedule"] <= 15
        assert entry["options"]["expires"] == LASTS


@pytest.mark.parametrize(("queue", "store"), [(None, STORE), ("redis://127.0.0.1", "sqlite:///x.db")])
def test_without_queue_or_shared_store_the_scaled_shape_says_what_it_needs(queue: str | None, store: str) -> None:
    with pytest.raises(ConfigError, match="leadbridge run"):
        make_app(settings(queue, store))


def test_the_address_of_the_queue_is_in_no_repr() -> None:
    secret = "redis://:hunter22@127.0.0.1:1"
    assert "hunter22" not in repr(settings(secret))
