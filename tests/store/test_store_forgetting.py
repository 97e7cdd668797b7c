"""Whatever happens in whatever order, nothing of the forgotten is stored (reliability G25, fault 42)."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from leadbridge.store import Store, activities, enrolments, forgetting, leads, suppressions
from leadbridge.store.tables import metadata
from leadbridge.types import Activity, ActivityKind, SuppressionReason, email_key
from sync import forget, identity
from tests.helpers.store_people import NOW, intent, lead, ref

ADDRESSES = [f"person{n}@acme.example" for n in range(4)]
RECORDS = [str(n) for n in range(101, 106)]
RECORD, ADDRESS = st.sampled_from(RECORDS), st.sampled_from(ADDRESSES)


class Life(RuleBasedStateMachine):
    """Records come, change, merge and go, are enrolled and act, in any order with erasures and late pages."""

    store: Store

    @initialize()
    def empty(self) -> None:
        with self.store.writing() as tx:
            for table in reversed(metadata.sorted_tables):
                if table.name != "facts":
                    tx.execute(sa.delete(table))
        self.time = NOW
        self.gone: set[str] = set()  # keys of the forgotten, by our own reckoning
        self.now_at: dict[str, str] = {}  # record: its address, as far as it is stored

    def pull(self, *found: Any) -> None:
        with self.store.writing() as tx:
            identity.absorb(tx, forget.without_forgotten(tx, self.store, found), self.time)

    @rule(record=RECORD, address=ADDRESS)
    def read(self, record: str, address: str) -> None:
        """A page brings the record: for the first time, once more, late, or after it was undeleted."""
        self.time += timedelta(minutes=1)
        if {ref(record).key, email_key(address)} & self.gone:
            self.gone |= self._all_keys(ref(record).key, email_key(address))
        self.pull(lead(record, address, at=self.time))

    @rule(old=RECORD, new=RECORD, address=ADDRESS)
    def merge(self, old: str, new: str, address: str) -> None:
        if old == new:
            return
        self.time += timedelta(minutes=1)
        keys = {ref(old).key, ref(new).key, email_key(address)}
        if keys & self.gone:
            self.gone |= self._all_keys(*keys)
        from dataclasses import replace

        self.pull(replace(lead(new, address, at=self.time), aliases=(ref(old),)))

    @rule(record=RECORD)
    def delete(self, record: str) -> None:
        with self.store.writing() as tx:
            identity.retire(tx, [ref(record)], self.time)

    @rule(address=ADDRESS)
    def act(self, address: str) -> None:
        self.time += timedelta(minutes=1)
        one = Activity(email_key(address), ActivityKind.PAGE_VIEW, self.time, "t", str(self.time))
        with self.store.writing() as tx:
            kept = forget.activities_without_forgotten(tx, self.store, [one])
            activities.add_activities(tx, kept, self.time)

    @rule(address=ADDRESS)
    def enrol(self, address: str) -> None:
        with self.store.writing() as tx:
            person = leads.person_by_email(tx, address)
            if person is not None and not suppressions.suppressed(tx, self.store.vault, [person]):
                enrolments.intend(tx, [intent(person, address=address)], self.time)

    @rule(key=st.one_of(ADDRESS.map(email_key), RECORD.map(lambda record: ref(record).key)))
    def erase(self, key: str) -> None:
        self.gone |= self._all_keys(key)
        with self.store.writing() as tx:
            erased = forget.forget_keys(tx, self.store, [key], "tester")
        assert erased.keys <= self.gone | {key}

    def _all_keys(self, *keys: str) -> set[str]:
        """Every key of whoever has one of these, read off the tables directly; and the keys themselves."""
        found = set(keys)
        with self.store.reading() as tx:
            while True:
                people = set(leads.people_by_key(tx, found).values()) | suppressions.owners(
                    tx, {key.removeprefix("email:") for key in found if key.startswith("email:")}
                )
                more = forgetting._every_key(tx, people) | found
                if more == found:
                    return found
                found = more

    @invariant()
    def nothing_of_the_forgotten_is_anywhere(self) -> None:
        if not hasattr(self, "gone"):
            return
        with self.store.reading() as tx:
            assert leads.people_by_key(tx, self.gone) == {}
            addresses = {key.removeprefix("email:") for key in self.gone if key.startswith("email:")}
            assert suppressions.owners(tx, addresses) == set()
            for address in addresses:
                assert suppressions.is_suppressed(tx, self.store.vault, address) is SuppressionReason.ERASED
            for table, column in (("activities", "subject"), ("enrolments", "address"), ("persons", "email_canonical")):
                held = set(tx.execute(sa.select(metadata.tables[table].c[column])).scalars())
                assert not held & (self.gone | addresses)


@pytest.mark.usefixtures("store")
def test_nothing_brings_back_the_forgotten_in_any_order(store: Store) -> None:
    machine = type("Machine", (Life,), {"store": store})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=8, stateful_step_count=12, suppress_health_check=list(HealthCheck)),
    )
