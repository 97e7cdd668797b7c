"""Transactions that want the same people and rows take them in one order, so that none waits for another that waits
for it (reliability G20, G22; fault 32). PostgreSQL would end one of them, and a suppression could be late."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from leadbridge import clock
from leadbridge.metrics import STORE_CONFLICTS
from leadbridge.store import Store, suppressions
from leadbridge.types import EnrolmentState, SuppressionReason
from sync import pull
from tests.helpers.syncing import TRIGGER, journey, stage
from tests.helpers.waiting import LONG

S = EnrolmentState
ADDRESS = "ada@acme.example"
on_postgresql = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)


def leave(store: Store, *addresses: str) -> None:
    with store.writing() as tx:
        now = clock.now()
        rows = [(address, SuppressionReason.UNSUBSCRIBED, "mailchimp", now) for address in addresses]
        suppressions.suppress(tx, store.vault, rows, now)


def waiting_for_a_lock(store: Store) -> bool:
    with store.reading() as tx:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(tx.exec_driver_sql(query).scalar_one())


@contextmanager
def paused_after(store: Store, words: str, in_thread: threading.Thread) -> Iterator[tuple[threading.Event, Any]]:
    """The thread stops once it has run the first statement with these words, until it is let go on."""
    reached, go_on = threading.Event(), threading.Event()

    def after(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if words in statement and threading.current_thread() is in_thread and not reached.is_set():
            reached.set()
            assert go_on.wait(LONG)

    sa.event.listen(store._engine, "after_cursor_execute", after)
    try:
        yield reached, go_on
    finally:
        go_on.set()
        sa.event.remove(store._engine, "after_cursor_execute", after)


@on_postgresql
@pytest.mark.parametrize("words", ["INSERT INTO suppressions", "INSERT INTO suppressed_people", "FOR UPDATE"])
def test_the_platform_and_the_webhook_tell_of_one_unsubscribe_at_once(store: Store, words: str) -> None:
    """The webhook's suppression stands half done while the enrolment of the same person learns of it by itself."""
    with stage(store, journey(TRIGGER)) as made:
        record = made.lead(ADDRESS)
        made.until_enrol()
        made.sandbox.mailchimp.person_unsubscribes(ADDRESS)
        failed: list[Exception] = []

        def run(what: Any) -> None:
            try:
                what()
            except Exception as error:
                failed.append(error)

        webhook = threading.Thread(target=run, args=(lambda: leave(store, ADDRESS),))
        worker = threading.Thread(target=run, args=(made.enrol,))
        with paused_after(store, words, webhook) as (reached, go_on):
            webhook.start()
            assert reached.wait(LONG)
            worker.start()
            while not waiting_for_a_lock(store) and worker.is_alive():
                threading.Event().wait(0.01)
            go_on.set()
            webhook.join(LONG)
            worker.join(LONG)
        assert failed == []
        with store.reading() as tx:
            found = suppressions.suppressed(tx, store.vault, [made.person(record)])
        assert set(found.values()) == {SuppressionReason.UNSUBSCRIBED}
        assert made.calls("journeys.trigger") == 0
        assert made.states().keys() <= {S.CANCELLED, S.REFUSED}


@on_postgresql
def test_a_deadlock_ends_one_transaction_which_is_done_again_at_once_and_counted(store: Store) -> None:
    """Something else holds the scores while a rescore holds the person, and each wants what the other has."""
    with stage(store, journey(TRIGGER)) as made:
        record = made.lead(ADDRESS)
        made.sync()
        made.edit(record, jobtitle="Director")
        pull.pull(store, made.parts.crms, None)
        before = sum(STORE_CONFLICTS.values().values())
        holds, failed = threading.Event(), []

        def other() -> None:
            try:
                with store.writing() as tx:
                    tx.exec_driver_sql("SET LOCAL deadlock_timeout = '1h'")  # whom the database ends is the rescore
                    tx.exec_driver_sql("SELECT person_id FROM scores FOR UPDATE")
                    holds.set()
                    while not waiting_for_a_lock(store):
                        threading.Event().wait(0.01)
                    tx.exec_driver_sql("SELECT id FROM persons FOR UPDATE")
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        assert holds.wait(LONG)
        done = made.act()
        thread.join(LONG)
        assert failed == []
        assert sum(STORE_CONFLICTS.values().values()) == before + 1
        assert done.rescored.people == 1
        assert int(made.held(record)["leadbridge_score"]) >= 40
