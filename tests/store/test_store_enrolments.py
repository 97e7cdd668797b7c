"""The ledger of contact: one way, one holder, one row for each entry (reliability G19)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection

from leadbridge.store import Store, enrolments, exits
from leadbridge.store.engine import exclusive
from leadbridge.store.enrolments import ALLOWED, CONTACT, WAITING, EnrolmentRow, Move
from leadbridge.types import EnrolmentState
from tests.helpers.store_people import NOW, intent, move, people

S = EnrolmentState
ANY = (S.WANTED, S.CHECKED, S.HELD, S.UNCERTAIN)


def wanted(tx: Connection, count: int = 1) -> list[EnrolmentRow]:
    """Claimed rows of as many new people."""
    enrolments.intend(tx, [intent(person) for person in people(tx, count)], NOW)
    return enrolments.claim_enrolments(tx, [S.WANTED], limit=count, owner="w")


def calling(tx: Connection, *, lease_seconds: float = 60) -> EnrolmentRow:
    (row,) = wanted(tx)
    assert move(tx, row.id, row.token, S.WANTED, S.CHECKED)
    assert enrolments.move_all(tx, [Move(row.id, row.token, S.CHECKED, S.CALLING)], lease_seconds=lease_seconds)
    return row


def state_of(tx: Connection, row: EnrolmentRow) -> EnrolmentState:
    return next(kept.state for kept in enrolments.history(tx, [row.person_id])[row.person_id] if kept.id == row.id)


def test_an_entry_is_wished_for_once_whatever_became_of_it(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = people(tx, 2)
        first = enrolments.intend(tx, [intent(ada), intent(bob), intent(ada)], NOW)
        assert len(first) == 2
        assert enrolments.intend(tx, [intent(ada), intent(ada, "tips")], NOW) & first == set()
        assert enrolments.cancel_waiting(tx, [ada], "left", NOW) == 2
        assert enrolments.intend(tx, [intent(ada)], NOW) == set()
        assert len(enrolments.intend(tx, [intent(ada, entry=1)], NOW)) == 1


def test_a_wish_comes_back_as_it_was_written(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        wish = intent(ada, score=41, reason_in="score 41, reading guides")
        (row_id,) = enrolments.intend(tx, [wish], NOW)
        assert enrolments.history(tx, [ada, ada + 1]) == {
            ada: [
                EnrolmentRow(
                    row_id, ada, "guides", 0, S.WANTED, "mailchimp", "ada@acme.example", "guides", 41,
                    "score 41, reading guides", "", NOW, NOW, None, NOW, wish.expires_at, 0,
                )
            ]
        }  # fmt: skip


def test_eight_workers_at_one_row_make_one_call(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        enrolments.intend(tx, [intent(ada)], NOW)
    barrier = threading.Barrier(8)

    def work(owner: str) -> int:
        barrier.wait()
        called = 0
        with store.writing() as tx:
            for row in enrolments.claim_enrolments(tx, [S.WANTED, S.CHECKED], limit=5, owner=owner):
                moves = [(S.WANTED, S.CHECKED), (S.CHECKED, S.CALLING)]
                called += all(move(tx, row.id, row.token, *step) for step in moves)
        return called

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, map(str, range(8)))) == 1


@pytest.mark.parametrize(("at", "to"), [(a, b) for a, b in product(S, S) if b not in ALLOWED[a]])
def test_a_move_the_ledger_does_not_know_is_refused(at: EnrolmentState, to: EnrolmentState) -> None:
    with pytest.raises(ValueError, match=f"does not move from {at} to {to}"):
        move(None, 1, 1, at, to)  # type: ignore[arg-type]


def test_what_was_called_is_never_wanted_again_and_what_ended_stays() -> None:
    assert all(S.WANTED not in ALLOWED[state] for state in S if state is not S.HELD)
    assert all(not ALLOWED[state] for state in (S.DONE, S.REFUSED, S.CANCELLED, S.EXPIRED))
    assert {state for state in S if S.CALLING in ALLOWED[state]} == {S.CHECKED}


def test_a_stale_token_changes_nothing(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        enrolments.intend(tx, [intent(ada)], NOW)
        (stale,) = enrolments.claim_enrolments(tx, ANY, limit=1, owner="a", lease_seconds=-1)
        (fresh,) = enrolments.claim_enrolments(tx, ANY, limit=1, owner="b")
        assert not move(tx, stale.id, stale.token, S.WANTED, S.CHECKED)
        assert enrolments.renew(tx, [stale]) == set()
        enrolments.release(tx, [stale])
        assert enrolments.claim_enrolments(tx, ANY, limit=1, owner="c") == []
        assert move(tx, fresh.id, fresh.token, S.WANTED, S.CHECKED)
        assert not move(tx, fresh.id, fresh.token, S.WANTED, S.CHECKED)
        assert state_of(tx, fresh) == S.CHECKED


def test_no_call_begins_under_a_dead_lease_or_after_its_time(store: Store) -> None:
    with store.writing() as tx:
        (late,) = wanted(tx)
        move(tx, late.id, late.token, S.WANTED, S.CHECKED)
        assert not move(tx, late.id, late.token, S.CHECKED, S.CALLING, now=late.expires_at)
        enrolments.intend(tx, [intent(people(tx, 1)[0])], NOW)
        (slow,) = enrolments.claim_enrolments(tx, [S.WANTED], limit=1, owner="w", lease_seconds=-1)
        assert move(tx, slow.id, slow.token, S.WANTED, S.CHECKED)
        assert not move(tx, slow.id, slow.token, S.CHECKED, S.CALLING)
        assert enrolments.made_since(tx, NOW) == 0


def test_a_call_whose_caller_died_is_uncertain_and_not_made_again(store: Store) -> None:
    with store.writing() as tx:
        dead, alive = calling(tx, lease_seconds=-1), calling(tx)
        assert enrolments.strand_expired(tx) == 1
        assert (state_of(tx, dead), state_of(tx, alive)) == (S.UNCERTAIN, S.CALLING)
        assert not move(tx, dead.id, dead.token, S.CALLING, S.DONE)
        assert enrolments.claim_enrolments(tx, [S.WANTED, S.CHECKED], limit=5, owner="x") == []
        assert enrolments.strand_expired(tx) == 0
        assert enrolments.made_since(tx, NOW) == 2
        with pytest.raises(ValueError, match="strand_expired"):
            enrolments.claim_enrolments(tx, [S.CALLING], limit=5, owner="x")


def test_only_an_uncertain_row_is_settled_by_proof_and_only_once(store: Store) -> None:
    with store.writing() as tx:
        row = calling(tx, lease_seconds=-1)
        assert not enrolments.settle(tx, row.id, S.DONE, "seen", NOW)
        enrolments.strand_expired(tx)
        with pytest.raises(ValueError, match="ends as one of"):
            enrolments.settle(tx, row.id, S.WANTED, "again", NOW)
        assert enrolments.settle(tx, row.id, S.DONE, "the vendor shows the entry", NOW)
        assert not enrolments.settle(tx, row.id, S.REFUSED, "no", NOW)
        assert (state_of(tx, row), enrolments.counts(tx)[S.DONE]) == (S.DONE, 1)


def test_proof_that_nothing_happened_lets_the_row_be_checked_again_and_counts_as_no_call(store: Store) -> None:
    with store.writing() as tx:
        row = calling(tx, lease_seconds=-1)
        enrolments.strand_expired(tx)
        assert enrolments.made_since(tx, NOW) == 1
        assert enrolments.settle(tx, row.id, S.CHECKED, "the vendor shows no entry", NOW)
        assert enrolments.made_since(tx, NOW) == 0
        assert not move(tx, row.id, row.token, S.CHECKED, S.REFUSED)
        assert [claim.id for claim in enrolments.claim_enrolments(tx, [S.CHECKED], limit=5, owner="w")] == [row.id]


def test_a_call_that_never_left_is_not_tried_again_before_its_lease_is_over(store: Store) -> None:
    with store.writing() as tx:
        row = calling(tx)
        assert move(tx, row.id, row.token, S.CALLING, S.CHECKED, "connection refused")
        assert enrolments.made_since(tx, NOW) == 0
        assert enrolments.claim_enrolments(tx, [S.CHECKED], limit=5, owner="x") == []
        later = datetime.now(UTC) + timedelta(seconds=61)
        assert len(enrolments.claim_enrolments(tx, [S.CHECKED], limit=5, owner="x", now=later)) == 1


def test_what_waits_ends_in_time_or_not_at_all(store: Store) -> None:
    with store.writing() as tx:
        ada, bob, eve = people(tx, 3)
        soon = datetime.now(UTC) + timedelta(minutes=1)
        enrolments.intend(tx, [intent(ada, expires_at=soon), intent(bob), intent(eve, expires_at=soon)], NOW)
        assert enrolments.expire(tx, soon - timedelta(seconds=1)) == 0
        (held,) = [
            row for row in enrolments.claim_enrolments(tx, [S.WANTED], limit=9, owner="w") if row.person_id == eve
        ]
        move(tx, held.id, held.token, S.WANTED, S.HELD, "cap")
        assert enrolments.expire(tx, soon) == 2
        assert {person: rows[0].state for person, rows in enrolments.history(tx, [ada, bob, eve]).items()} == {
            ada: S.EXPIRED,
            bob: S.WANTED,
            eve: S.EXPIRED,
        }


def test_a_wish_past_its_time_is_not_claimed(store: Store) -> None:
    with store.writing() as tx:
        enrolments.intend(tx, [intent(people(tx, 1)[0], expires_at=NOW)], NOW)
        assert enrolments.claim_enrolments(tx, [S.WANTED], limit=5, owner="w") == []


def test_leaving_ends_what_waits_even_in_a_workers_hands(store: Store) -> None:
    with store.writing() as tx:
        (row,) = wanted(tx)
        assert enrolments.cancel_waiting(tx, [row.person_id], "unsubscribed", NOW) == 1
        assert not move(tx, row.id, row.token, S.WANTED, S.CHECKED)
        (kept,) = enrolments.history(tx, [row.person_id])[row.person_id]
        assert (kept.state, kept.words, kept.state_at) == (S.CANCELLED, "unsubscribed", NOW)


def test_leaving_does_not_touch_a_call_under_way(store: Store) -> None:
    with store.writing() as tx:
        row = calling(tx)
        assert enrolments.cancel_waiting(tx, [row.person_id], "unsubscribed", NOW) == 0
        assert move(tx, row.id, row.token, S.CALLING, S.DONE)


def test_held_wishes_are_wanted_again_only_when_released(store: Store) -> None:
    with store.writing() as tx:
        (row,) = wanted(tx)
        move(tx, row.id, row.token, S.WANTED, S.HELD, "cap")
        assert enrolments.claim_enrolments(tx, [S.WANTED, S.CHECKED], limit=5, owner="w") == []
        assert enrolments.release_held(tx, "released by ada", NOW) == 1
        assert enrolments.release_held(tx, "released by ada", NOW) == 0
        assert len(enrolments.claim_enrolments(tx, [S.WANTED, S.CHECKED], limit=5, owner="w")) == 1


def test_released_claims_are_claimed_again_at_once_or_later(store: Store) -> None:
    with store.writing() as tx:
        rows = wanted(tx, 3)
        later = datetime.now(UTC) + timedelta(minutes=5)
        enrolments.release(tx, rows[:2])
        enrolments.release(tx, rows[2:], later)
        again = enrolments.claim_enrolments(tx, [S.WANTED], limit=5, owner="w")
        assert [row.id for row in again] == [row.id for row in rows[:2]]
        assert len(enrolments.claim_enrolments(tx, [S.WANTED], limit=5, owner="w", now=later)) == 3


def test_a_row_may_be_told_to_wait(store: Store) -> None:
    with store.writing() as tx:
        (row,) = wanted(tx)
        later = datetime.now(UTC) + timedelta(hours=2)
        assert enrolments.move_all(tx, [Move(row.id, row.token, S.WANTED, S.CHECKED, "quiet hours", at=later)])
        enrolments.release(tx, [row])
        assert enrolments.claim_enrolments(tx, ANY, limit=5, owner="w") == []
        assert len(enrolments.claim_enrolments(tx, ANY, limit=5, owner="w", now=later)) == 1


def test_the_ledger_counts_and_lists_by_state(store: Store) -> None:
    with store.writing() as tx:
        done, open_call = calling(tx), calling(tx)
        assert move(tx, done.id, done.token, S.CALLING, S.DONE, now=NOW + timedelta(hours=1))
        wanted(tx, 3)
        counts = enrolments.counts(tx)
        assert {state: counts[state] for state in counts if counts[state]} == {S.DONE: 1, S.CALLING: 1, S.WANTED: 3}
        first = enrolments.by_state(tx, S.WANTED, limit=2)
        rest = enrolments.by_state(tx, S.WANTED, after=first[-1].id)
        assert (len(first), len(rest)) == (2, 1)
        assert [row.id for row in enrolments.by_state(tx, S.CALLING)] == [open_call.id]


def test_workers_that_count_and_call_in_turn_stay_within_a_cap(store: Store) -> None:
    with store.writing() as tx:
        enrolments.intend(tx, [intent(person) for person in people(tx, 20)], NOW)

    def work(owner: str) -> None:
        for _ in range(5):
            with store.writing() as tx:
                exclusive(tx, "contact")
                if enrolments.made_since(tx, NOW) < 7:
                    for row in enrolments.claim_enrolments(tx, [S.WANTED], limit=1, owner=owner):
                        move(tx, row.id, row.token, S.WANTED, S.CHECKED)
                        move(tx, row.id, row.token, S.CHECKED, S.CALLING)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))
    with store.reading() as tx:
        assert enrolments.made_since(tx, NOW) == 7


def test_rows_are_found_by_address_whoever_had_it(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = people(tx, 2)
        enrolments.intend(tx, [intent(ada), intent(bob), intent(bob, "tips", address="bob@acme.example")], NOW)
        found = enrolments.at_addresses(tx, ["ada@acme.example", "eve@acme.example"])
        assert {address: [row.person_id for row in rows] for address, rows in found.items()} == {
            "ada@acme.example": [ada, bob]
        }


def test_the_ledger_of_people_and_of_their_addresses_has_each_row_once(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = people(tx, 2)
        enrolments.intend(tx, [intent(ada, grounds=("boss", "Größe")), intent(bob), intent(bob, "tips")], NOW)
        exits.leave(
            tx, [exits.Exit(enrolments.history(tx, [bob])[bob][0].id, "over", tell=False)], NOW + timedelta(days=1)
        )
    with store.reading() as tx:
        rows = enrolments.ledger(tx, [ada], ["ada@acme.example", "bob@acme.example"])
        plain = [row for kept in enrolments.history(tx, [ada, bob]).values() for row in kept]
    assert rows == [
        enrolments.LedgerRow(
            row.id, row.person_id, row.address, row.journey, row.entry, row.state, row.trigger, row.state_at,
            row.track, frozenset(row.grounds), row.stage, row.left_at, row.variant,
        )
        for row in plain
    ]  # fmt: skip
    assert [(row.person_id, row.left_at) for row in rows] == [(ada, None), (bob, NOW + timedelta(days=1)), (bob, None)]


def test_whoever_is_kept_out_is_remembered(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = people(tx, 2)
        enrolments.hold_out(tx, [(ada, "guides"), (ada, "guides"), (bob, "tips")], NOW)
        enrolments.hold_out(tx, [(ada, "guides")], NOW)
        enrolments.hold_out(tx, [], NOW)
        assert enrolments.held_out(tx, [ada]) == {(ada, "guides")}
        assert enrolments.held_out(tx, [ada, bob]) == {(ada, "guides"), (bob, "tips")}


class Ledger(RuleBasedStateMachine):
    """Workers, some of them replaced, at one person's rows; beside it, what a ledger on paper says."""

    store: Store

    @initialize()
    def somebody(self) -> None:
        with self.store.writing() as tx:
            (self.person,) = people(tx, 1)
        self.paper: dict[int, EnrolmentState] = {}
        self.entries: dict[tuple[str, int], int] = {}
        self.claims: list[EnrolmentRow] = []  # every claim ever made
        self.newest: dict[int, int] = {}  # row: the token that is good for moving it
        self.calls: dict[int, int] = {}

    @rule(journey=st.sampled_from(["guides", "tips"]), entry=st.integers(0, 1))
    def wish(self, journey: str, entry: int) -> None:
        with self.store.writing() as tx:
            made = enrolments.intend(tx, [intent(self.person, journey, entry)], NOW)
        assert bool(made) == ((journey, entry) not in self.entries)
        for row_id in made:
            self.entries[journey, entry] = row_id
            self.paper[row_id] = S.WANTED

    @rule(lease=st.sampled_from([-1.0, 60.0]))
    def claim(self, lease: float) -> None:
        with self.store.writing() as tx:
            mine = set(self.paper)
            rows = enrolments.claim_enrolments(tx, ANY, limit=50, owner="w", lease_seconds=lease)
            rows = [row for row in rows if row.id in mine]
        for row in rows:
            assert row.state == self.paper[row.id]
            assert row.token > self.newest.get(row.id, 0)
            self.newest[row.id] = row.token
        self.claims += rows

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        if not self.claims:
            return
        row = data.draw(st.sampled_from(self.claims))
        at = data.draw(st.sampled_from(S))
        if not ALLOWED[at]:
            return
        to = data.draw(st.sampled_from(sorted(ALLOWED[at])))
        with self.store.writing() as tx:
            moved = move(tx, row.id, row.token, at, to)
        if moved:
            assert self.newest[row.id] == row.token
            assert self.paper[row.id] == at
            self.paper[row.id] = to
            if to is S.CALLING:
                self.calls[row.id] = self.calls.get(row.id, 0) + 1
            if to is S.CHECKED:
                self.calls[row.id] = 0  # proven that nothing happened

    @rule()
    def strand(self) -> None:
        with self.store.writing() as tx:
            enrolments.strand_expired(tx)
            for row in enrolments.history(tx, [self.person]).get(self.person, []):
                if row.state != self.paper[row.id]:
                    assert (self.paper[row.id], row.state) == (S.CALLING, S.UNCERTAIN)
                    self.paper[row.id] = row.state
                    self.newest[row.id] = row.token

    @rule()
    def leave(self) -> None:
        with self.store.writing() as tx:
            enrolments.cancel_waiting(tx, [self.person], "left", NOW)
            for row in enrolments.history(tx, [self.person]).get(self.person, []):
                if self.paper[row.id] in WAITING:
                    assert row.state == S.CANCELLED
                    self.paper[row.id] = row.state
                    self.newest[row.id] = row.token

    @invariant()
    def the_store_says_what_the_paper_says(self) -> None:
        if not hasattr(self, "paper"):
            return
        with self.store.reading() as tx:
            rows = enrolments.history(tx, [self.person]).get(self.person, [])
        assert {row.id: row.state for row in rows} == self.paper
        assert {(row.journey, row.entry): row.id for row in rows} == self.entries
        assert all(count <= 1 for count in self.calls.values())
        assert all((row.called_at is not None) == bool(self.calls.get(row.id)) for row in rows if row.state in CONTACT)


def test_however_workers_come_and_go_rows_move_one_way_and_are_called_once(store: Store) -> None:
    machine = type("LedgerHere", (Ledger,), {"store": store})
    run_state_machine_as_test(machine, settings=settings(max_examples=12, stateful_step_count=20))
