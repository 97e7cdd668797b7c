"""Who must not be mailed (reliability G20-G22)."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from leadbridge.store import Store, enrolments, leads, suppressions
from leadbridge.store.tables import metadata
from leadbridge.types import EnrolmentState, SuppressionReason, email_key
from tests.helpers.store_people import NOW, intent, lead, people, person

R = SuppressionReason
ADA = "ada@acme.example"


def suppress(tx: sa.Connection, store: Store, *addresses: str, reason: SuppressionReason = R.UNSUBSCRIBED) -> set[int]:
    rows = [(address, reason, "mailchimp", NOW) for address in addresses]
    return suppressions.suppress(tx, store.vault, rows, NOW)


def test_whoever_left_is_suppressed_as_a_person_and_by_address(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = person(tx, "1", ADA), person(tx, "2", "bob@acme.example")
        assert suppress(tx, store, ADA) == {ada}
        assert suppress(tx, store, ADA) == {ada}
        assert suppressions.suppressed(tx, store.vault, [ada, bob]) == {ada: R.UNSUBSCRIBED}
        assert suppressions.is_suppressed(tx, store.vault, ADA) == R.UNSUBSCRIBED
        assert suppressions.is_suppressed(tx, store.vault, "bob@acme.example") is None


def test_another_spelling_is_the_same_address(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", ADA)
        assert suppress(tx, store, "  Ada@ACME.example ") == {ada}
        assert suppressions.is_suppressed(tx, store.vault, "ADA@acme.EXAMPLE") == R.UNSUBSCRIBED


def test_an_address_nobody_has_waits_for_whoever_comes_with_it(store: Store) -> None:
    with store.writing() as tx:
        assert suppress(tx, store, ADA, "no address at all") == set()
        assert suppressions.is_suppressed(tx, store.vault, "no address at all") == R.UNSUBSCRIBED
        by_key, by_row, by_record = people(tx, 3)
        leads.link_keys(tx, {email_key(ADA): by_key})
        leads.save_people(tx, [leads.PersonRow(by_row, "Ada@acme.example", {})], NOW)
        leads.save_records(tx, [(by_record, lead("7", "ADA@acme.example"))], NOW)
        found = suppressions.suppressed(tx, store.vault, [by_key, by_row, by_record])
        assert found == dict.fromkeys([by_key, by_row, by_record], R.UNSUBSCRIBED)


def test_everybody_who_has_the_address_is_hit(store: Store) -> None:
    with store.writing() as tx:
        by_key, by_row, by_record = people(tx, 3)
        leads.link_keys(tx, {email_key(ADA): by_key})
        leads.save_people(tx, [leads.PersonRow(by_row, ADA, {})], NOW)
        leads.save_records(tx, [(by_record, lead("7", ADA))], NOW)
        assert suppress(tx, store, ADA) == {by_key, by_row, by_record}


def test_a_suppression_outlives_a_new_address(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", ADA)
        suppress(tx, store, ADA)
        leads.link_keys(tx, {email_key("ada@new.example"): ada})
        leads.save_people(tx, [leads.PersonRow(ada, "ada@new.example", {})], NOW)
        assert suppressions.suppressed(tx, store.vault, [ada]) == {ada: R.UNSUBSCRIBED}
        assert suppressions.is_suppressed(tx, store.vault, "ada@new.example") == R.UNSUBSCRIBED


def test_a_suppression_outlives_an_address_that_only_the_record_had(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        leads.save_records(tx, [(ada, lead("1", ADA))], NOW)
        assert suppress(tx, store, ADA) == {ada}
        leads.save_records(tx, [(ada, lead("1", "ada@new.example"))], NOW)
        assert suppressions.suppressed(tx, store.vault, [ada]) == {ada: R.UNSUBSCRIBED}


def test_a_suppression_outlives_the_person_and_returns_with_the_address(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", ADA)
        suppress(tx, store, ADA, reason=R.ERASED)
        for table in reversed(metadata.sorted_tables):
            if "person_id" in table.c:
                tx.execute(table.delete().where(table.c.person_id == ada))
        tx.execute(metadata.tables["persons"].delete())
        again = person(tx, "9", ADA)
        assert suppressions.suppressed(tx, store.vault, [again]) == {again: R.ERASED}


def test_a_suppression_ends_what_waits_and_leaves_what_was_sent(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = person(tx, "1", ADA), person(tx, "2", "bob@acme.example")
        enrolments.intend(tx, [intent(ada), intent(ada, "tips"), intent(bob)], NOW)
        suppress(tx, store, ADA)
        assert {row.state for row in enrolments.history(tx, [ada])[ada]} == {EnrolmentState.CANCELLED}
        assert {row.state for row in enrolments.history(tx, [bob])[bob]} == {EnrolmentState.WANTED}


def test_the_crms_opt_out_counts_and_the_strictest_reason_is_named(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", ADA, opted_out=True)
        assert suppressions.suppressed(tx, store.vault, [ada]) == {ada: R.CRM_OPT_OUT}
        for reason in (R.BOUNCED, R.UNSUBSCRIBED, R.COMPLAINED, R.ERASED):
            suppress(tx, store, ADA, reason=reason)
            assert suppressions.suppressed(tx, store.vault, [ada]) == {ada: reason}
        suppress(tx, store, ADA, reason=R.OPERATOR)
        assert suppressions.suppressed(tx, store.vault, [ada]) == {ada: R.ERASED}
        assert set(suppressions.STRICTEST_FIRST) == set(R)


def test_no_address_is_kept_with_a_suppression(store: Store) -> None:
    with store.writing() as tx:
        suppress(tx, store, ADA)
        rows = tx.execute(sa.select(metadata.tables["suppressions"])).all()
        assert len(rows) == 1
        assert "ada" not in repr(rows)
        assert "acme" not in repr(rows)


def test_nobody_asked_for_nobody_suppressed(store: Store) -> None:
    with store.writing() as tx:
        assert suppressions.suppressed(tx, store.vault, []) == {}
        assert suppressions.suppress(tx, store.vault, [], NOW) == set()


@pytest.mark.parametrize("first", ["intent", "suppression"])
def test_an_unsubscribe_beside_an_intent_is_either_seen_by_it_or_ends_it(store: Store, first: str) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", ADA)
    begun, go_on = threading.Event(), threading.Event()

    def wish() -> None:
        with store.writing() as tx:
            if first == "suppression":
                begun.wait(5)
            if ada not in suppressions.suppressed(tx, store.vault, [ada]):
                enrolments.intend(tx, [intent(ada)], NOW)
            if first == "intent":
                begun.set()
                go_on.wait(0.2)

    def leave() -> None:
        if first == "intent":
            begun.wait(5)
        with store.writing() as tx:
            suppress(tx, store, ADA)
            begun.set()
            go_on.wait(0.2)

    # On SQLite a writer is alone, so that of the two whoever is let in first must not wait for the other.
    jobs = [wish, leave] if first == "intent" else [leave, wish]
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
        begun.wait(0.2)
    for thread in threads:
        thread.join()
    with store.reading() as tx:
        rows = enrolments.history(tx, [ada]).get(ada, [])
        assert {row.state for row in rows} <= {EnrolmentState.CANCELLED}
        assert suppressions.suppressed(tx, store.vault, [ada])


class Consent(RuleBasedStateMachine):
    """People, addresses and merges at random; beside it, a set of humans who have left."""

    store: Store

    @initialize()
    def nobody(self) -> None:
        with self.store.writing() as tx:
            self.run = people(tx, 1)[0]  # a number no other run has
        self.humans: dict[int, set[str]] = {}  # person: addresses
        self.gone: set[str] = set()

    def _address(self, name: str) -> str:
        return f"{name}{self.run}@acme.example"

    def _left(self, person_id: int) -> bool:
        return bool(self.humans[person_id] & self.gone)

    @rule(name=st.sampled_from("abcdef"))
    def appear(self, name: str) -> None:
        address = self._address(name)
        if any(address in owned for owned in self.humans.values()):
            return
        with self.store.writing() as tx:
            self.humans[person(tx, f"{self.run}-{len(self.humans)}-{name}", address)] = {address}

    @rule(name=st.sampled_from("abcdefgh"), reason=st.sampled_from(list(R)))
    def leave(self, name: str, reason: SuppressionReason) -> None:
        address = self._address(name)
        with self.store.writing() as tx:
            hit = suppress(tx, self.store, address.upper(), reason=reason)
            ledger = enrolments.history(tx, hit)
        assert hit == {human for human, owned in self.humans.items() if address in owned}
        assert not any(row.state in enrolments.WAITING for rows in ledger.values() for row in rows)
        self.gone.add(address)
        for owned in self.humans.values():
            if address in owned:
                self.gone |= owned  # the human left, with all addresses

    @rule(data=st.data(), name=st.sampled_from("abcdefgh"))
    def move_house(self, data: st.DataObject, name: str) -> None:
        address = self._address(name)
        if not self.humans or any(address in owned for owned in self.humans.values()):
            return
        human = data.draw(st.sampled_from(sorted(self.humans)))
        with self.store.writing() as tx:
            leads.link_keys(tx, {email_key(address): human})
            leads.save_people(tx, [leads.PersonRow(human, address, {})], NOW)
        self.humans[human].add(address)
        if self._left(human):
            self.gone |= self.humans[human]

    @rule(data=st.data())
    def wish(self, data: st.DataObject) -> None:
        if not self.humans:
            return
        human = data.draw(st.sampled_from(sorted(self.humans)))
        with self.store.writing() as tx:
            if human not in suppressions.suppressed(tx, self.store.vault, [human]):
                enrolments.intend(tx, [intent(human)], NOW)

    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        if len(self.humans) < 2:
            return
        keep, lose = data.draw(st.permutations(sorted(self.humans)))[:2]
        with self.store.writing() as tx:
            leads.merge_people(tx, keep, lose, NOW + timedelta(hours=1))
        self.humans[keep] |= self.humans.pop(lose)
        if self._left(keep):
            self.gone |= self.humans[keep]

    @invariant()
    def whoever_left_is_not_contacted(self) -> None:
        if not hasattr(self, "humans"):
            return
        with self.store.reading() as tx:
            found = set(suppressions.suppressed(tx, self.store.vault, list(self.humans)))
        assert found == {human for human in self.humans if self._left(human)}


def test_however_people_move_and_merge_whoever_left_stays_suppressed(store: Store) -> None:
    machine = type("ConsentHere", (Consent,), {"store": store})
    run_state_machine_as_test(machine, settings=settings(max_examples=10, stateful_step_count=15))
