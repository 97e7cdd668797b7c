"""The scaled shape's queue: Celery on Redis or RabbitMQ, as a doorbell and nothing more (reliability pattern 3).

A message is a hint without content: "look at the store". It may be lost, doubled or late without harm, because what is
due stands in the store and every worker looks there by itself. That settles the questions Celery asks:

- acknowledged early: a late acknowledgement would repeat a hint that the next sweep gives anyway, and a message that
  kills its worker would come back to the next one for ever;
- no results, no retries, JSON only (a queue must not be able to make a worker run code);
- a hint that nobody took for a minute is dropped, since by then a sweep has done its work;
- a short visibility timeout, for the little it matters.
"""

import time
from typing import Any

from celery import Celery
from kombu import Queue

from leadbridge.config.schema import Config
from leadbridge.errors import ConfigError, Fault
from sync.worker import SWEEP

WORK, PULL = "leadbridge.work", "leadbridge.pull"
"""The two hints, each with a queue of its own name: workers take what a person waits for before what fills up."""

LASTS = 60
"""Seconds after which a hint that nobody took is worth nothing."""

MOST_WAITING = 1000
"""Hints that may wait; while no worker takes any, more would only fill the queue's memory."""

PATIENCE = 300.0
"""Seconds after which a round ends at the next committed step."""

TIME_LIMIT = 900
"""Seconds after which a round that does not end is taken for hung, and its process replaced."""

_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

_RUNG = {"expires": LASTS, "retry": True, "retry_policy": _ONCE}
"""How the clock rings: tried once more, since only that makes a connection anew which RabbitMQ has lost."""

REST = 2.0
"""Seconds for which the bell is not tried again after it failed."""


def make_app(config: Config, *, patience: float = 5.0) -> Celery:
    """The Celery application of this configuration. `patience`: seconds any word with the queue may take.

    Raises ConfigError when the file does not describe the scaled shape.
    """
    if config.queue is None or not config.store.startswith("postgresql"):
        cure = "web, worker and beat need queue: redis://… and store: postgresql://…; `leadbridge run` needs neither"
        problem = "is not set" if config.queue is None else "is for a PostgreSQL store"
        raise ConfigError("the configuration", [Fault(0, "queue", problem, cure)])
    app = Celery("leadbridge", broker=config.queue, set_as_current=True, include=["sync.tasks"])
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_track_started=False,
        task_time_limit=TIME_LIMIT,
        task_publish_retry=False,
        task_default_queue=WORK,
        task_queues=[Queue(name, queue_arguments={"x-max-length": MOST_WAITING}) for name in (WORK, PULL)],
        task_routes={name: {"queue": name} for name in (WORK, PULL)},
        beat_schedule={name: {"task": name, "schedule": SWEEP, "options": _RUNG} for name in (WORK, PULL)},
        beat_scheduler="celery.beat:Scheduler",  # in memory: what is due stands in the store
        beat_max_loop_interval=SWEEP,
        timezone="UTC",
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker whose queue is away sweeps, and waits for it
        broker_connection_timeout=patience,
        broker_heartbeat=30,
        broker_transport_options=_transport(config.queue, patience),
    )
    return app


def _transport(address: str, patience: float) -> dict[str, Any]:
    """How to speak with the queue: never for long. One try, because whoever rings has better things to do."""
    if not address.startswith("redis"):
        return _ONCE | {"read_timeout": patience, "write_timeout": patience, "confirm_publish": False}
    return _ONCE | {
        "visibility_timeout": LASTS,
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        "retry_on_timeout": False,
        "queue_order_strategy": "priority",  # in the order in which the worker names them
    }


class Bell:
    """Rings the workers. Thread-safe by being called from one thread (`webhooks.writer.Doorbell`)."""

    def __init__(self, config: Config, *, patience: float = 1.0) -> None:
        self._app = make_app(config, patience=patience)
        self._queue = next(queue for queue in self._app.conf.task_queues if queue.name == WORK)
        self._rest_until = 0.0

    def ring(self) -> None:
        """Leave a hint, unless plenty wait already. Raises whatever the queue raises; then it is left alone a while."""
        if time.monotonic() < self._rest_until:
            return
        try:
            with self._app.producer_or_acquire() as producer:
                if self._waiting(producer.channel) < MOST_WAITING:
                    self._app.send_task(WORK, producer=producer, expires=LASTS, retry=False)
        except Exception:
            self._rest_until = time.monotonic() + REST
            raise

    def close(self) -> None:
        self._app.close()

    def _waiting(self, channel: Any) -> int:
        queue = self._queue
        told = channel.queue_declare(
            queue=queue.name, durable=True, auto_delete=False, exclusive=False, arguments=queue.queue_arguments
        )
        return int(told.message_count)
