"""The scaled shape from outside: `leadbridge web`, `worker` and `beat` on PostgreSQL and Redis (G10, G19, G31, G32).

Every process is a real one, started by the command line. Redis is a doorbell: losing it loses nothing.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadbridge.store import inbox
from tests.helpers.databases import Server
from tests.helpers.queues import NoRedis, Redis
from tests.helpers.scaled import BEAT, WEB, WORKER, Process, Site, site, until

PEOPLE = 40
BOSS = "Chief Marketing Officer"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    try:
        found = Redis(tmp_path)
    except NoRedis as missing:
        pytest.skip(str(missing))
    yield found
    found.close()


@pytest.fixture
def scaled(tmp_path: Path, postgres_server: Server, redis: Redis) -> Iterator[Site]:
    with postgres_server.database() as url, site(tmp_path, url, redis.url, count=PEOPLE) as found:
        yield found


def worked_off(made: Site) -> bool:
    with made.store() as store, store.reading() as tx:
        return inbox.pending(tx) == 0 and not made.sandbox.hubspot.webhooks.waiting()


def edit(made: Site, records: list[str], title: str) -> dict[str, str | None]:
    """A human changes these leads; what their scores were before."""
    before = {record: made.scores()[record] for record in records}
    for record in records:
        made.sandbox.hubspot.edit_contact(record, {"jobtitle": title})
    return before


def moved(made: Site, before: dict[str, str | None]) -> bool:
    now = made.scores()
    return all(now[record] != score for record, score in before.items())


def test_events_reach_the_crm_as_scores_whatever_becomes_of_redis_and_of_worker_processes(
    scaled: Site, redis: Redis
) -> None:
    worker = scaled.start(*WORKER)
    beat = scaled.start(*BEAT)
    second = scaled.start(*BEAT)  # two schedulers do no harm
    web = scaled.start(*WEB)
    scaled.subscribe(web.heard(r"listens on (http\S+)")[1], "jobtitle")
    until(lambda: len(scaled.written()) == PEOPLE)
    records = [key for key, score in sorted(scaled.scores().items()) if 5 < int(score or 0) < 80]  # no bound in the way

    with_a_hint = edit(scaled, records[:4], BOSS)
    until(lambda: moved(scaled, with_a_hint), 10)

    redis.ask("FLUSHALL")
    redis.kill()
    without_a_queue = edit(scaled, records[4:8], BOSS)
    until(lambda: moved(scaled, without_a_queue), 60)  # G10: no later than that

    redis.start()
    os.kill(worker.children()[0], signal.SIGKILL)
    after_a_death = edit(scaled, records[8:12], BOSS)
    until(lambda: moved(scaled, after_a_death), 60)  # G32
    until(lambda: len(worker.children()) == 2)

    redis.signal(signal.SIGSTOP)
    while_it_hangs = edit(scaled, records[12:16], BOSS)
    until(lambda: moved(scaled, while_it_hangs), 60)
    redis.signal(signal.SIGCONT)

    until(lambda: worked_off(scaled))
    assert set(scaled.entered().values()) == {1}
    for process in (web, beat, second, worker):
        began = time.monotonic()
        assert process.end() == 0, process.words
        assert time.monotonic() - began < 30
        assert "Traceback" not in process.words


@pytest.mark.slow
def test_told_to_stop_under_load_every_process_ends_well_and_in_time_and_nothing_is_left_half_done(
    scaled: Site, redis: Redis
) -> None:
    scaled.sandbox.world.latency = 0.05
    processes: list[Process] = [
        scaled.start(*WORKER), scaled.start(*BEAT), scaled.start(*WEB),
    ]  # fmt: skip
    scaled.subscribe(processes[-1].heard(r"listens on (http\S+)")[1], "jobtitle")
    until(scaled.written)
    edit(scaled, sorted(scaled.contacts(), key=int), BOSS)
    began = time.monotonic()
    for process in processes:
        process.signal(signal.SIGTERM)
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert time.monotonic() - began < 30

    scaled.sandbox.world.latency = 0.0
    scaled.start("worker", "--processes", "1")
    web = scaled.start("web", "--processes", "1")
    scaled.subscribe(web.heard(r"listens on (http\S+)")[1], "jobtitle")
    until(lambda: len(scaled.written()) == PEOPLE)
    until(lambda: worked_off(scaled), 90)
    until(scaled.entered)
    assert set(scaled.entered().values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("processes", [4, 8])
def test_many_workers_on_one_backlog_do_everything_once(scaled: Site, processes: int) -> None:
    scaled.start("worker", "--processes", str(processes))
    until(lambda: len(scaled.written()) == PEOPLE, 120)
    until(scaled.entered)
    assert set(scaled.written().values()) == {1}
    assert set(scaled.entered().values()) == {1}


def test_the_scaled_shape_is_refused_without_a_queue_and_without_postgresql(tmp_path: Path) -> None:
    with site(tmp_path, f"sqlite:///{tmp_path / 'store.db'}", None, count=1) as made:
        for command in ("web", "worker", "beat"):
            process = made.start(command)
            assert process.wait(60) == 2
            process.end()
            assert "queue" in process.words
            assert "leadbridge run" in process.words
        assert not (tmp_path / "leadbridge.db").exists()
