"""The scaled shape on RabbitMQ: a doorbell like Redis, whose loss loses nothing (reliability G10, fault 23)."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.beat import Scheduler, SchedulingError

from benchmarks.lossless import wrong_scores
from sync.celery_app import REST, WORK, Bell, make_app
from tests.acceptance.test_scaled import BOSS, edit, moved, worked_off
from tests.helpers.databases import Server
from tests.helpers.queues import NoRabbit, Rabbit
from tests.helpers.scaled import BEAT, WEB, WORKER, site
from tests.helpers.syncing import configuration
from tests.helpers.tally import Tally
from tests.helpers.waiting import until

PEOPLE = 20


@pytest.fixture
def rabbit(tmp_path: Path) -> Iterator[Rabbit]:
    try:
        found = Rabbit(tmp_path)
    except NoRabbit as missing:
        pytest.skip(str(missing))
    yield found
    found.close()


@pytest.mark.slow
def test_events_reach_the_crm_as_scores_whatever_becomes_of_rabbitmq(
    tmp_path: Path, postgres_server: Server, rabbit: Rabbit, tally: Tally
) -> None:
    with postgres_server.database() as url, site(tmp_path, url, rabbit.url, count=PEOPLE) as made:
        processes = [made.start(*WORKER), made.start(*BEAT), made.start(*WEB)]
        made.subscribe(processes[-1].heard(r"listens on (http\S+)")[1], "jobtitle")
        until(lambda: len(made.written()) == PEOPLE)
        records = [key for key, score in sorted(made.scores().items()) if 5 < int(score or 0) < 80]

        with_a_hint = edit(made, records[:3], BOSS)
        until(lambda: moved(made, with_a_hint), 10)

        rabbit.kill()
        without_a_queue = edit(made, records[3:6], BOSS)
        recover = [until(lambda: moved(made, without_a_queue), 60)]

        rabbit.forget()  # every queue and every hint in it
        rabbit.start()
        after_the_loss = edit(made, records[6:9], BOSS)
        recover.append(until(lambda: moved(made, after_the_loss), 60))

        until(lambda: worked_off(made))
        twice = made.entered().total() - len(made.entered())
        tally(23, trials=2, duplicate=twice, wrong=wrong_scores(made), recover=recover)
        for process in processes:
            began = time.monotonic()
            assert process.end() == 0, process.words
            assert time.monotonic() - began < 30


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning"
)  # amqp leaves a lost connection's to the collector
def test_the_bell_and_the_clock_ring_again_once_rabbitmq_is_back(rabbit: Rabbit) -> None:
    config = configuration("http://127.0.0.1:1", store="postgresql://leadbridge@db.acme.example/one", queue=rabbit.url)
    bell, clock = Bell(config), Scheduler(app=make_app(config))

    def ring() -> None:
        bell.ring()
        for entry in clock.schedule.values():
            clock.apply_async(entry, producer=clock.producer)

    ring()
    rabbit.kill()
    with pytest.raises(OSError):
        bell.ring()
    with pytest.raises(SchedulingError):
        clock.apply_async(clock.schedule[WORK], producer=clock.producer)
    rabbit.start()
    time.sleep(REST)  # after which the bell is tried again
    ring()
    bell.close()
    clock.close()
    gc.collect()  # here, where that is known, and not in the middle of another test
