"""The scaled shape from outside: `leadbridge web`, `worker` and `beat` on PostgreSQL and Redis (G10, G19, G31, G32).

Every process is a real one, started by the command line. Redis is a doorbell: losing it loses nothing.
"""

import os
import random
import re
import signal
import time
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.lossless import stories, wrong_scores
from leadbridge import clock
from leadbridge.store import inbox, tables
from tests.helpers.databases import Server
from tests.helpers.queues import NoRedis, Redis
from tests.helpers.scaled import BEAT, WEB, WORKER, Process, Site, site
from tests.helpers.signers import hubspot_body
from tests.helpers.tally import Tally
from tests.helpers.waiting import LONG, until

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
    scaled: Site, redis: Redis, tally: Tally
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
    recover = [until(lambda: moved(scaled, without_a_queue), 60)]  # G10: no later than that

    redis.start()
    os.kill(worker.children()[0], signal.SIGKILL)
    after_a_death = edit(scaled, records[8:12], BOSS)
    recover.append(until(lambda: moved(scaled, after_a_death), 60))  # G32
    until(lambda: len(worker.children()) == 2)

    redis.signal(signal.SIGSTOP)
    while_it_hangs = edit(scaled, records[12:16], BOSS)
    recover.append(until(lambda: moved(scaled, while_it_hangs), 60))
    redis.signal(signal.SIGCONT)

    until(lambda: worked_off(scaled))
    twice = scaled.entered().total() - len(scaled.entered())
    tally(23, trials=3, duplicate=twice, wrong=wrong_scores(scaled), recover=recover)
    for process in (web, beat, second, worker):
        began = time.monotonic()
        assert process.end() == 0, process.words
        assert time.monotonic() - began < 30
        raised = [line for line in process.words.splitlines() if "Traceback" in line]
        assert [line for line in raised if "WorkerLostError" not in line] == []  # which is the one we killed


@pytest.mark.slow
def test_told_to_stop_under_load_every_process_ends_well_and_in_time_and_nothing_is_left_half_done(
    scaled: Site, redis: Redis, tally: Tally
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
    took = time.monotonic() - began
    assert took < 30

    scaled.sandbox.world.latency = 0.0
    scaled.start("worker", "--processes", "1")
    web = scaled.start("web", "--processes", "1")
    scaled.subscribe(web.heard(r"listens on (http\S+)")[1], "jobtitle")
    until(lambda: len(scaled.written()) == PEOPLE)
    until(lambda: worked_off(scaled))
    until(scaled.entered)
    twice = scaled.entered().total() - len(scaled.entered())
    tally(45, trials=len(processes), duplicate=twice, recover=[took])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "people"),
    [(2, 40), (4, 40), (8, 200)],
)
def test_many_workers_on_one_backlog_do_everything_once_and_use_the_vendors_limit_to_the_full(
    tmp_path: Path, postgres_server: Server, redis: Redis, processes: int, people: int, tally: Tally
) -> None:
    with postgres_server.database() as url, site(tmp_path, url, redis.url, count=people) as made:
        text = made.file.read_text(encoding="utf-8")
        made.file.write_text(re.sub(r"requests_per_10s: \d+", f"requests_per_10s: {LIMIT}", text), encoding="utf-8")
        hubspot = made.sandbox.hubspot
        hubspot.settings.burst_limit = LIMIT
        hubspot.restore(hubspot.snapshot())  # the calls that set the account up are of another time, and not paced
        made.sandbox.world.latency = 0.1
        events = leave_events(made, 5 * people)
        before = len(made.sandbox.world.journal)
        made.start("worker", "--processes", str(processes))
        until(lambda: len(made.written()) == people)
        until(made.entered)
        until(lambda: settled(made) == (events, 0))
        twice = sum(some.total() - len(some) for some in (made.written(), made.entered()))
        tally(24, trials=events, lost=people - len(made.written()), duplicate=twice, wrong=wrong_scores(made))
        calls = [call for call in list(made.sandbox.world.journal)[before:] if call.vendor == "hubspot"]
        assert [call for call in calls if call.status == 429] == []
        at = [datetime.fromisoformat(call.at).timestamp() for call in calls]
        assert max(bisect_right(at, start + SPAN) - place for place, start in enumerate(at)) <= LIMIT
        end = max(start for start, call in zip(at, calls, strict=True) if call.operation == LAST_PULLED)
        begin = at[0] + SPAN / 2  # all of them have started
        assert sum(begin < start <= end for start in at) > 0.9 * LIMIT * (end - begin) / SPAN


LIMIT, SPAN = 20, 10.0
"""Calls that the account allows in so many seconds, and that we allow ourselves."""

LAST_PULLED = "events.list"
"""What is still read when everything else of a new account has been."""


def leave_events(made: Site, count: int) -> int:
    """Deliveries that came while no worker was there; how many events they hold."""
    told = list(stories(made, count, random.Random(7)))
    portions = [told[start : start + 100] for start in range(0, count, 100)]
    portal = str(made.sandbox.hubspot.portal_id)
    came = [inbox.Delivery("hubspot", portal, hubspot_body(*some), len(some)) for some in portions]
    with made.store() as store, store.writing() as tx:
        inbox.keep_deliveries(tx, store.vault, came, clock.now())
    return count


def settled(made: Site) -> tuple[int, int]:
    """Events that are done, and those set aside."""
    with made.store() as store, store.reading() as tx:
        done = tx.scalar(sa.select(sa.func.count()).where(tables.inbox.c.done_at.is_not(None)))
        aside = tx.scalar(sa.select(sa.func.count()).select_from(tables.quarantine))
        return done or 0, aside or 0


def test_the_scaled_shape_is_refused_without_a_queue_and_without_postgresql(tmp_path: Path) -> None:
    with site(tmp_path, f"sqlite:///{tmp_path / 'store.db'}", None, count=1) as made:
        for command in ("web", "worker", "beat"):
            process = made.start(command)
            assert process.wait(LONG) == 2
            process.end()
            assert "queue" in process.words
            assert "leadbridge run" in process.words
        assert not (tmp_path / "leadbridge.db").exists()
