"""The operator is told what is wrong: when it begins or grows, and when it is over (reliability G7, G14)."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from leadbridge.store import gaps, quarantine, stops
from leadbridge.store.engine import Store
from sync import alarms
from sync.worker import Rounds
from tests.helpers.receiver import Receiver, receiver
from tests.helpers.syncing import Moving, Stage, moving, stage
from tests.webhooks.conftest import on_sqlite

pytestmark = on_sqlite


@dataclass
class Watched:
    """A company with an operator who listens."""

    made: Stage
    time: Moving
    operator: Receiver

    def look(self) -> list[str]:
        """A minute later somebody looks; the lines that the operator is told."""
        before = len(self.operator.told)
        self.time.on(seconds=61)
        alarms.tell(self.made.parts)
        return [line for one in self.operator.told[before:] for line in str(one["message"]).splitlines()]

    def set_aside(self, times: int) -> None:
        with self.made.store.writing() as tx:
            for number in range(times):
                quarantine.put(tx, self.made.store.vault, "inbox:hubspot", "unreadable", b"", self.made.now(),
                               f"{self.made.now()} {number}")  # fmt: skip


@pytest.fixture
def watched(store: Store) -> Iterator[Watched]:
    with receiver() as operator:
        places = {"alert": [operator.url], "alert_hosts": ["127.0.0.1"]}
        with stage(store, alarms=places) as made, moving(made) as time:
            yield Watched(made, time, operator)


def test_what_is_wrong_is_told_once_when_it_grows_and_when_it_is_over(watched: Watched) -> None:
    assert watched.look() == []
    watched.set_aside(2)
    assert watched.look() == ["2 set aside: leadbridge quarantine list"]
    assert watched.look() == []
    watched.set_aside(1)
    assert watched.look() == ["3 set aside: leadbridge quarantine list"]
    with watched.made.store.writing() as tx:
        quarantine.purge(tx, watched.made.now())
    assert watched.look() == ["over: quarantine"]
    assert watched.look() == []


def test_deliveries_turned_away_and_stopped_contact_are_told_within_the_minute_and_again_the_next_day(
    watched: Watched,
) -> None:
    watched.made.sync()
    with watched.made.store.writing() as tx:
        gaps.mark(tx, "hubspot", "bad_signature", watched.made.now())
        stops.stop(tx, stops.CONTACT, "olga", "a mail was wrong", watched.made.now())
    gap, stopped = "hubspot: deliveries were turned away or missed; it is read", "contact is stopped: leadbridge status"
    assert watched.look() == [stopped, gap]
    watched.made.sync()  # reads what was missed
    assert watched.look() == ["over: gap hubspot"]
    watched.time.on(days=1)
    assert stopped in watched.look()


def test_what_nobody_took_is_told_at_the_next_look(watched: Watched) -> None:
    watched.operator.status = 500
    watched.set_aside(1)
    assert watched.look() == []
    watched.operator.status = 200
    assert watched.look() == ["1 set aside: leadbridge quarantine list"]


def test_a_connection_that_cannot_go_on_alarms_until_somebody_has_put_it_right(watched: Watched) -> None:
    made = watched.made
    rounds = Rounds(made.parts, rung=lambda: False)
    made.lead()
    rounds.pull()
    rounds.work()
    assert watched.look() == []
    token = made.sandbox.hubspot.tokens.known.pop(made.sandbox.hubspot.token)
    made.fault("status", "*", status=401, times=100)
    rounds.pull()
    (said,) = watched.look()
    assert said.startswith("cannot go on: hubspot")
    assert "renew connections.hubspot.token" in said
    rounds.pull()
    assert watched.look() == []  # told once
    made.sandbox.hubspot.tokens.known[token.value] = token
    made.sandbox.world.faults.clear()
    watched.time.on(minutes=31)
    rounds.pull()
    assert "over: operator" in watched.look()


def test_writes_that_need_an_operator_alarm_too(watched: Watched) -> None:
    made = watched.made
    rounds = Rounds(made.parts, rung=lambda: False)
    made.lead()
    rounds.pull()
    made.fault("status", "contacts.batch.update", status=403, times=100)
    rounds.work()
    (said,) = watched.look()
    assert said.startswith("cannot go on: hubspot: contacts.batch.update")
