"""Matching people to journeys harms nobody: never twice, never who may not be contacted (reliability G19-G24)."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import perf_counter, sleep
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.base import Member, MemberStatus
from leadbridge import clock
from leadbridge.errors import NeedsOperator
from leadbridge.store import Store, due, enrolments, leads, stops, suppressions
from leadbridge.testing.stages import HANG, HASTY
from leadbridge.types import EnrolmentState, SuppressionReason
from nurture.holdout import held_out
from sync import bounds, enrol
from tests.helpers import rooms
from tests.helpers.syncing import BASE, TAG, TRIGGER, Stage, journey, moving, stage
from tests.helpers.waiting import LONG, until

S = EnrolmentState
STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived", "forgotten", None)


@pytest.fixture(params=[TAG, TRIGGER])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def one(store: Store, kind: str) -> Iterator[Stage]:
    """One journey, of each kind in turn, on each database."""
    with stage(store, journey(kind)) as made:
        yield made


def operation(kind: str) -> str:
    return {TAG: "members.tags", TRIGGER: "journeys.trigger"}[kind]


def only(made: Stage) -> enrolments.EnrolmentRow:
    (row,) = made.ledger()
    return row


# --- who may be contacted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refuse", ["ignore", "reject"])
@pytest.mark.parametrize("many", [False, True])  # asked for one by one, and by pages of the audience
def test_of_every_member_status_only_the_subscribed_are_contacted(one: Stage, refuse: str, many: bool) -> None:
    one.sandbox.mailchimp.settings.journeys_refuse = refuse  # type: ignore[assignment]
    each = 4 if many else 1
    for status in STATUSES:
        for n in range(each):
            one.lead(f"{status}{n}@acme.example", status)
    done = one.sync().enrolled
    assert set(one.entered().values()) == {1}
    assert all(address.startswith("subscribed") for address in one.entered())
    assert len(one.entered()) == done.enrolled == each
    assert one.harmless()
    assert one.states()[S.DONE] == each
    assert one.states().keys() <= {S.DONE, S.REFUSED, S.CANCELLED}
    again = one.enrol()
    assert (again.enrolled, again.refused, again.uncertain) == (0, 0, 0)


class WontSay:
    """A platform that does not say what it thinks of a member."""

    def __init__(self, platform: Any) -> None:
        self._platform = platform

    def __getattr__(self, name: str) -> Any:
        return getattr(self._platform, name)

    def read_members(self, emails: Any) -> Iterator[dict[str, Member]]:
        yield {email: Member(email, MemberStatus.UNKNOWN, clock.now()) for email in emails}


def test_an_unknown_status_is_not_contacted(one: Stage) -> None:
    one.lead()
    one.until_enrol()
    one.parts.platform = WontSay(one.parts.platform)  # type: ignore[assignment]
    one.enrol()
    assert one.entered() == {}
    assert one.states() == {S.REFUSED: 1}


def test_whoever_left_is_found_out_at_the_platform_and_suppressed_for_good(one: Stage) -> None:
    left, bounced = one.lead(status="unsubscribed"), one.lead(status="cleaned")
    one.until_enrol()
    one.enrol()
    with one.store.reading() as tx:
        found = suppressions.suppressed(tx, one.store.vault, [one.person(left), one.person(bounced)])
    assert set(found.values()) == {SuppressionReason.UNSUBSCRIBED, SuppressionReason.BOUNCED}


def test_a_suppression_between_intent_and_call_stops_the_call(one: Stage) -> None:
    one.lead("ada@acme.example")
    one.until_enrol()
    with one.store.writing() as tx:
        suppressions.suppress(
            tx, one.store.vault, [("ada@acme.example", SuppressionReason.OPERATOR, "test", clock.now())], clock.now()
        )
    one.enrol()
    assert one.calls(operation(TAG)) + one.calls(operation(TRIGGER)) == 0
    assert one.states() == {S.CANCELLED: 1}


def test_an_opt_out_in_the_crm_between_intent_and_call_stops_the_call(one: Stage) -> None:
    record = one.lead()
    one.until_enrol()
    one.opt_out_in_the_crm(record)
    one.sync()
    assert one.entered() == {}
    assert one.states() == {S.CANCELLED: 1}


def test_an_intent_for_an_old_address_goes_to_neither_address(one: Stage) -> None:
    record = one.lead("old@acme.example")
    one.sandbox.mailchimp.add_member("new@acme.example", "subscribed")
    one.until_enrol()
    one.edit(record, email="new@acme.example")
    one.sync()
    assert one.entered() == {}
    assert one.states() == {S.CANCELLED: 1}


def test_whoever_is_deleted_in_the_crm_is_not_contacted(one: Stage) -> None:
    record = one.lead()
    one.until_enrol()
    one.sandbox.hubspot.archive_contact(record)
    one.event({"subscriptionType": "contact.deletion", "objectId": int(record)})
    one.act()
    assert one.entered() == {}
    assert one.states() == {S.CANCELLED: 1}


def test_who_no_longer_fits_the_journey_is_not_put_into_it(one: Stage) -> None:
    record = one.lead()
    one.until_enrol()
    one.edit(record, jobtitle="")
    one.sync()
    assert one.entered() == {}
    assert "does not fit" in only(one).words


SIDE = 0.05
"""Seconds around the moment of the call."""


@pytest.mark.parametrize("trials", [48, pytest.param(2000, marks=pytest.mark.slow)])
def test_who_leaves_within_50_ms_of_the_call_is_not_called_or_is_the_crossing_that_the_ledger_records(
    one: Stage, trials: int
) -> None:
    """What comes before the call looks a last time is not called. What crosses it is the platform's to refuse, which it
    does; whether anybody was told is in the ledger."""
    chance = random.Random(32)
    for n in range(trials):
        one.lead(f"lead{n}@acme.example")
    one.until_enrol()
    begun: dict[str, float] = {}  # the call is to look a last time
    called: dict[str, float] = {}
    ended: dict[str, float] = {}  # its outcome is to be stored
    told: dict[str, float] = {}
    platform: Any = one.parts.platform

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(platform, name)

        def enrol(self, journey: str, email: str, *, again: bool) -> Any:
            called[email] = perf_counter()
            return platform.enrol(journey, email, again=again)

    def leave(address: str, at: float) -> None:
        sleep(max(0.0, at - perf_counter()))
        one.sandbox.mailchimp.person_unsubscribes(address)
        with one.store.writing() as tx:
            now = clock.now()
            suppressions.suppress(
                tx, one.store.vault, [(address, SuppressionReason.UNSUBSCRIBED, "mailchimp", now)], now
            )
        told[address] = perf_counter()

    class Racing:
        """Everybody leaves at a moment of their own, up to 50 ms before or after the call."""

        def map(self, call: Any, rows: Any) -> Any:
            moment = perf_counter() + SIDE
            for row in rows:
                leavers.submit(leave, row.address, moment + chance.uniform(-SIDE, SIDE))

            def then(row: enrolments.EnrolmentRow) -> Any:
                sleep(max(0.0, moment - perf_counter()))
                begun[row.address] = perf_counter()
                return call(row)

            answers = list(callers.map(then, rows))
            ended.update(dict.fromkeys((row.address for row in rows), perf_counter()))
            return answers

    done, rules = enrol.Enrolled(), bounds.rules_of(one.store, one.config)
    with ThreadPoolExecutor(8) as callers, ThreadPoolExecutor(32) as leavers:
        watched: Any = Watched()
        racing: Any = Racing()
        sender = enrol.Sender(one.store, watched, rules, "w1", racing, done, simultaneous=8)
        while sender.one_batch():
            pass
    assert len(told) == len(begun) == trials
    assert [address for address in called if told[address] < begun[address]] == []  # wrong: none
    assert one.harmless()
    assert set(one.entered().values()) <= {1}
    ledger = {row.address: row for row in one.ledger()}
    crossed = {address for address, row in ledger.items() if row.words.endswith(enrol.CROSSED)}
    assert {address for address in called if told[address] < ended[address]} <= crossed <= called.keys()
    assert done.reasons[enrol.CROSSED] == len(crossed)
    assert {row.state for address, row in ledger.items() if address not in called} == {S.CANCELLED}
    assert 0 < len(called) < trials  # there were some of each


# --- never twice -----------------------------------------------------------------------------------------------------


def test_a_bare_trigger_whose_answer_is_lost_is_never_sent_again(store: Store) -> None:
    with stage(store, journey(TRIGGER)) as made:
        made.lead("ada@acme.example")
        made.until_enrol()
        made.fault("reset_after", "journeys.trigger")
        first = made.enrol()
        assert first.uncertain == 1
        for _ in range(3):
            made.act()
            made.enrol(made.worker("w2"))
            with store.writing() as tx:
                due.mark_due(tx, [only(made).person_id], clock.now())
        assert made.entered() == {"ada@acme.example": 1}
        assert made.calls("journeys.trigger") == 1
        assert made.states() == {S.UNCERTAIN: 1}


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_bare_trigger_answered_by_a_server_error_is_uncertain_and_not_sent_again(store: Store, status: int) -> None:
    with stage(store, journey(TRIGGER)) as made:
        made.lead()
        made.until_enrol()
        made.fault("status", "journeys.trigger", status=status)
        made.enrol()
        made.enrol()
        assert made.calls("journeys.trigger") == 1
        assert made.states() == {S.UNCERTAIN: 1}


def test_a_bare_trigger_that_hangs_is_uncertain_and_not_sent_again(store: Store) -> None:
    with stage(store, journey(TRIGGER)) as made:
        made.lead("ada@acme.example")
        made.until_enrol()
        made.parts.platform = rooms.mailchimp(made.config, made.pace.pace(HASTY))
        made.fault("hang", "journeys.trigger", seconds=HANG)
        made.enrol()
        assert made.states() == {S.UNCERTAIN: 1}
        made.enrol()
        until(made.entered)  # the vendor gets round to it
        assert made.entered() == {"ada@acme.example": 1}
        assert made.calls("journeys.trigger") == 1


def test_a_429_is_proof_that_nothing_happened_and_is_tried_again(one: Stage, kind: str) -> None:
    one.lead("ada@acme.example")
    one.until_enrol()
    one.fault("status", operation(kind), status=429, times=2)
    one.enrol()
    assert one.entered() == {"ada@acme.example": 1}
    assert one.states() == {S.DONE: 1}


@pytest.mark.parametrize("leaves", [False, True])
def test_no_call_begins_again_on_an_answer_of_the_gate_that_is_old_by_then(one: Stage, kind: str, leaves: bool) -> None:
    """The vendor asks for 15 s of patience: by then the person may have left (G20, G22)."""
    with moving(one) as time:
        one.lead("ada@acme.example")
        one.until_enrol()
        one.fault("empty", operation(kind), status=429, headers={"Retry-After": "15"})
        one.enrol()
        assert one.states() == {S.CHECKED: 1}
        assert one.calls(operation(kind)) == 1
        if leaves:
            one.sandbox.mailchimp.person_unsubscribes("ada@acme.example")
        time.on(seconds=61)
        one.enrol()
        assert one.entered() == ({} if leaves else {"ada@acme.example": 1})


def test_a_tag_whose_answer_is_lost_is_settled_by_proof_and_entered_once(store: Store) -> None:
    with stage(store, journey(TAG)) as made, moving(made) as time:
        made.lead("ada@acme.example")
        made.until_enrol()
        made.fault("reset_after", "members.tags", times=4)
        made.enrol()
        assert made.states() == {S.UNCERTAIN: 1}
        time.on(seconds=61)
        made.enrol()
        assert made.states() == {S.DONE: 1}
        assert made.entered() == {"ada@acme.example": 1}


def test_a_tag_that_is_proven_not_set_is_set_once(store: Store) -> None:
    with stage(store, journey(TAG)) as made, moving(made) as time:
        made.lead("ada@acme.example")
        made.until_enrol()
        made.fault("reset_before", "members.tags", times=4)
        made.enrol()
        assert made.states() == {S.UNCERTAIN: 1}
        assert made.entered() == {}
        time.on(seconds=61)
        for _ in range(2):
            made.enrol()
        assert made.states() == {S.DONE: 1}
        assert made.entered() == {"ada@acme.example": 1}


def test_uncertain_triggers_do_not_hide_an_uncertain_tag_behind_them(store: Store) -> None:
    with stage(store, journey(TRIGGER), journey(TAG)) as made, moving(made):
        for n in range(101):
            made.lead(f"lead{n:03}@acme.example")
        made.until_enrol()
        with store.writing() as tx:
            everyone = leads.all_person_ids(tx, 0, 1000)
            enrolments.cancel_waiting(tx, everyone, "not here", clock.now())
            rows = [(TRIGGER, person, 9) for person in everyone] + [(TAG, everyone[0], 9)]
            for name, person, entry in rows:
                address = leads.people(tx, [person])[person].email or ""
                wish = enrolments.Intent(
                    person, name, entry, "mailchimp", address, "", "", clock.now() + timedelta(days=1)
                )
                enrolments.intend(tx, [wish], clock.now())
            claims = enrolments.claim_enrolments(tx, [S.WANTED], limit=1000, owner="dead", now=clock.now())
            for to in (S.CHECKED, S.CALLING, S.UNCERTAIN):
                before = {S.CHECKED: S.WANTED, S.CALLING: S.CHECKED, S.UNCERTAIN: S.CALLING}[to]
                enrolments.move_all(tx, [enrolments.Move(c.id, c.token, before, to) for c in claims], clock.now())
        assert made.states()[S.UNCERTAIN] == 102
        made.enrol()
        assert [row.state for row in made.ledger() if row.journey == TAG and row.entry == 9] == [S.DONE]
        assert made.states()[S.UNCERTAIN] == 101


def test_a_worker_killed_during_the_call_leaves_an_uncertain_row_and_no_second_call(one: Stage, kind: str) -> None:
    """Found `calling` with a dead lease: a bare trigger stays uncertain, a tag is settled by the vendor's word."""
    with moving(one) as time:
        one.lead("ada@acme.example")
        one.until_enrol()
        really: Any = one.parts.platform

        class Dies:
            def __getattr__(self, name: str) -> Any:
                return getattr(really, name)

            def enrol(self, journey: str, email: str, *, again: bool) -> None:
                really.enrol(journey, email, again=again)
                raise KeyboardInterrupt  # as good as dead: nothing after the call is done

        one.parts.platform = Dies()  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            one.enrol()
        one.parts.platform = really
        assert one.states() == {S.CALLING: 1}
        one.enrol()
        assert one.states() == {S.CALLING: 1}  # its lease may still be held
        time.on(seconds=61)
        one.enrol()
        assert one.states() == {{TAG: S.DONE, TRIGGER: S.UNCERTAIN}[kind]: 1}
        assert one.entered() == {"ada@acme.example": 1}


def test_two_people_with_one_address_get_one_mail(one: Stage, kind: str) -> None:
    one.lead("ada@acme.example")
    one.until_enrol()
    with one.store.writing() as tx:  # as two systems, or a slip of theirs, may leave it
        (twin,) = leads.new_people(tx, 1, clock.now())
        leads.save_people(tx, [leads.PersonRow(twin, "ada@acme.example", {"job_title": "Engineer"})], clock.now())
        address = "ada@acme.example"
        wish = enrolments.Intent(twin, kind, 1, "mailchimp", address, "", "", clock.now() + timedelta(days=1))
        enrolments.intend(tx, [wish], clock.now())
    for _ in range(3):
        one.enrol()
    assert one.entered() == {"ada@acme.example": 1}
    assert one.states() == {S.DONE: 1, S.CANCELLED: 1}


def test_what_an_address_got_before_it_changed_hands_counts(one: Stage) -> None:
    first = one.lead("desk@acme.example")
    one.sync()
    assert one.entered() == {"desk@acme.example": 1}
    one.edit(first, email="ada@acme.example")
    one.sandbox.hubspot.add_contact({"email": "desk@acme.example", "jobtitle": "Engineer"})
    one.sync()
    assert one.entered() == {"desk@acme.example": 1}


def test_somebody_deleted_and_imported_again_is_the_same_person_and_gets_no_second_mail(one: Stage) -> None:
    """Nobody told us of the deletion: the new record with the old address makes us ask (G11, G19, G20)."""
    first = one.lead("ada@acme.example")
    one.sync()
    person = one.person(first)
    one.sandbox.hubspot.archive_contact(first)
    second = one.sandbox.hubspot.add_contact({"email": "Ada@ACME.example", "jobtitle": "Director"})
    one.sync()
    assert one.person(second) == person
    assert one.entered() == {"ada@acme.example": 1}


# --- caps, time, rest ------------------------------------------------------------------------------------------------


def guards(hour: int, day: int) -> dict[str, Any]:
    return {"per_hour": [hour, "0%"], "per_day": [day, "0%"]}


def test_caps_hold_over_several_workers_and_over_hour_and_day(store: Store) -> None:
    with stage(store, journey(TRIGGER), guards=guards(7, 12)) as made, moving(made) as time:
        for _ in range(30):
            made.lead()
        made.until_enrol()
        workers = [made.worker(f"w{n}") for n in range(4)]
        for total in (7, 7, 12, 12):
            barrier = threading.Barrier(len(workers))

            def work(parts: Any, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                made.enrol(parts)

            with ThreadPoolExecutor(len(workers)) as pool:
                list(pool.map(work, workers))
            assert sum(made.entered().values()) == total
            time.on(minutes=31)
        assert set(made.entered().values()) == {1}
        time.on(hours=26)
        made.enrol()
        assert made.states() == {S.DONE: 12, S.EXPIRED: 18}  # in time or not at all (G24)


def test_one_person_hot_through_eight_workers_enters_once(one: Stage) -> None:
    for n in range(6):
        one.lead(f"lead{n}@acme.example")
    one.until_enrol()
    workers = [one.worker(f"w{n}") for n in range(8)]
    barrier = threading.Barrier(len(workers))

    def work(parts: Any) -> None:
        barrier.wait()
        one.act(parts)

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(work, workers))
    assert one.entered() == {f"lead{n}@acme.example": 1 for n in range(6)}
    assert one.states() == {S.DONE: 6}


def test_an_intent_fires_on_time_or_not_at_all(one: Stage) -> None:
    with moving(one) as time:
        one.lead()
        one.until_enrol()
        time.on(hours=24)
        one.enrol()
        assert one.states() == {S.EXPIRED: 1}
        assert one.entered() == {}


def test_nobody_is_contacted_on_the_word_of_more_than_a_minute_ago(one: Stage, kind: str) -> None:
    one.lead()
    one.until_enrol()
    really: Any = one.parts.platform

    class Old:
        def __getattr__(self, name: str) -> Any:
            return getattr(really, name)

        def read_members(self, emails: Any) -> Iterator[dict[str, Member]]:
            long_ago = clock.now() - timedelta(seconds=56)  # with the moments until the call begins: over a minute
            yield {email: Member(email, MemberStatus.SUBSCRIBED, long_ago) for email in emails}

    one.parts.platform = Old()  # type: ignore[assignment]
    one.enrol()
    assert one.calls(operation(kind)) == 0
    assert one.states() == {S.WANTED: 1}
    one.parts.platform = really
    assert one.enrol().enrolled == 1


def test_a_slow_platform_gets_no_calls_decided_long_ago(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage(store, journey(TAG)) as made:
        for _ in range(22):  # enough to be asked about together
            made.lead()
        made.until_enrol()
        assert made.config.connections.mailchimp is not None
        at_once = threading.Barrier(made.config.connections.mailchimp.simultaneous)

        def hang(seconds: float) -> None:
            at_once.wait(LONG)
            made.pace.sleep(seconds)

        monkeypatch.setattr(enrol, "BEGIN_WITHIN", timedelta(seconds=100))
        monkeypatch.setattr(enrol, "time", SimpleNamespace(monotonic=made.pace.ticks))
        monkeypatch.setattr(made.sandbox.world, "wait", hang)
        made.fault("hang", "members.tags", seconds=101, times=100)
        done = made.enrol()
        assert done.enrolled == at_once.parties
        assert done.reasons["the platform is slow: not begun in time"] == 22 - done.enrolled
        assert made.states() == {S.DONE: done.enrolled, S.CHECKED: 22 - done.enrolled}


def test_an_operator_is_called_in_mid_batch_and_nothing_is_lost(one: Stage, kind: str) -> None:
    with moving(one) as time:
        for _ in range(30):
            one.lead()
        one.until_enrol()
        one.fault("status", operation(kind), status=403, times=1000, skip=5)
        done = one.enrol()
        assert done.paused
        assert done.enrolled == 5
        assert done.uncertain == 0
        one.sandbox.world.faults.clear()
        time.on(seconds=61)
        one.enrol()
        assert one.states() == {S.DONE: 30}
        assert set(one.entered().values()) == {1}


def test_who_leaves_while_the_call_waits_for_its_turn_is_not_called(store: Store) -> None:
    with stage(store, journey(TRIGGER)) as made, moving(made) as time:
        made.lead("ada@acme.example")
        made.until_enrol()
        platform: Any = made.parts.platform

        class Pool:
            """Somebody leaves the moment after the call was committed."""

            def map(self, call: Any, rows: Any) -> Any:
                with store.writing() as tx:
                    left = ("ada@acme.example", SuppressionReason.UNSUBSCRIBED, "mailchimp", clock.now())
                    suppressions.suppress(tx, store.vault, [left], clock.now())
                return [call(row) for row in rows]

        done = enrol.Enrolled()
        enrol.Sender(store, platform, bounds.rules_of(store, made.config), "w1", Pool(), done).one_batch()  # type: ignore[arg-type]
        assert made.calls("journeys.trigger") == 0
        assert made.states() == {S.CANCELLED: 1}  # at once (G22), and never counted as a call
        assert only(made).called_at is None
        assert (done.cancelled, done.waiting) == (1, 0)
        time.on(seconds=61)
        made.enrol()
        assert made.states() == {S.CANCELLED: 1}
        assert made.calls("journeys.trigger") == 0


def test_the_stop_switch_holds_everywhere_until_it_is_lifted(one: Stage, kind: str) -> None:
    """Pulled while calls wait for their turn, it stops those; it lives in the store, so that every worker and every
    restart finds it (G24)."""
    with moving(one) as time:
        for _ in range(3):
            one.lead()
        one.until_enrol()

        class Pool:
            """Somebody pulls the switch once the first call was made."""

            def map(self, call: Any, rows: Any) -> Any:
                first = call(rows[0])
                with one.store.writing() as tx:
                    stops.stop(tx, stops.CONTACT, "olga", "wrong model", clock.now())
                return [first, *(call(row) for row in rows[1:])]

        done = enrol.Enrolled()
        assert one.parts.platform is not None
        rules = bounds.rules_of(one.store, one.config)
        enrol.Sender(one.store, one.parts.platform, rules, "w1", Pool(), done).one_batch()  # type: ignore[arg-type]
        assert one.calls(operation(kind)) == 1
        time.on(seconds=61)
        later = one.enrol(one.worker("w2"))
        assert (later.enrolled, later.waiting) == (0, 2)
        assert later.reasons == {"contact is stopped by olga: wrong model": 1}
        with one.store.writing() as tx:
            stops.resume(tx, stops.CONTACT, "olga", clock.now())
        one.enrol()
        assert one.states() == {S.DONE: 3}
        assert set(one.entered().values()) == {1}


def test_the_operator_error_is_of_the_right_kind(one: Stage, kind: str) -> None:
    one.fault("status", operation(kind), status=403)
    platform = one.parts.platform
    assert platform is not None
    with pytest.raises(NeedsOperator):
        platform.enrol(kind, "ada@acme.example")


def test_switched_off_means_no_changing_call_to_the_platform(store: Store) -> None:
    with stage(store, journey(TAG), journey(TRIGGER), nurture={"enabled": False}) as made:
        for status in STATUSES:
            made.lead(status=status)
        before = {name: made.calls(name) for name in ("members.tags", "members.patch", "journeys.trigger")}
        made.sync()
        assert {name: made.calls(name) for name in before} == before
        assert made.ledger() == []
        assert made.effects("tag_added", "journey_entered", "merge_field_changed") == []


def test_who_is_held_out_is_recorded_and_never_enrolled(store: Store) -> None:
    with stage(store, journey(TAG, holdout=0.5), journey(TRIGGER)) as made, moving(made) as time:
        for n in range(40):
            made.lead(f"lead{n}@acme.example")
        done = made.sync()
        kept_out = done.rescored.held_out
        assert 5 < kept_out < 35
        with store.reading() as tx:
            people = {person for person, _ in enrolments.held_out(tx, leads.all_person_ids(tx, 0, 1000))}
        assert len(people) == kept_out
        time.on(days=30)
        made.sync()
        rows = made.ledger()
        assert not {row.person_id for row in rows if row.journey == TAG} & people
        assert {row.person_id for row in rows if row.journey == TRIGGER} >= people  # free for the next, at once
        assert done.enrolled.enrolled == 40


@pytest.mark.parametrize("change", ["a new address", "a merge"])
def test_who_is_held_out_stays_out_whatever_address_they_come_to(store: Store, change: str) -> None:
    """What is drawn for the new address would let them in: the comparison would be spoilt."""
    drawn = {kept: next(one for n in range(99) if held_out(f"email:{(one := f'p{n}@acme.example')}", TAG, 0.5) is kept)
             for kept in (True, False)}  # fmt: skip
    with stage(store, journey(TAG, holdout=0.5)) as made, moving(made) as time:
        record = made.lead(drawn[True])
        assert made.sync().rescored.held_out == 1
        if change == "a merge":
            made.sandbox.hubspot.merge(made.lead(drawn[False]), record)
        else:
            made.sandbox.mailchimp.add_member(drawn[False], "subscribed")
            made.edit(record, email=drawn[False])
        for _ in range(2):
            made.sync()
            time.on(days=30)
            with store.writing() as tx:
                due.mark_due(tx, leads.all_person_ids(tx, 0, 10), clock.now())
        made.sync()
        assert made.entered() == {}
        assert made.states() == {}


def test_a_second_journey_comes_only_after_the_quiet_time_and_a_second_entry_only_when_allowed(store: Store) -> None:
    journeys = (journey(TRIGGER, re_enter_after="30d"), journey(TAG))
    with stage(store, *journeys) as made, moving(made, datetime.now(UTC) - timedelta(days=60)) as time:
        made.lead("ada@acme.example")
        seen: list[tuple[int, str, int]] = []
        made.sync()
        for day in range(40):
            made.act()  # nothing happens at the vendors, only time goes by
            known = {(name, entry) for _, name, entry in seen}
            seen += [(day, r.journey, r.entry) for r in made.ledger() if (r.journey, r.entry) not in known]
            time.on(days=1)
        assert seen == [(0, TRIGGER, 1), (7, TAG, 1), (30, TRIGGER, 2)]
        assert made.entered() == {"ada@acme.example": 3}


@pytest.mark.parametrize("status", ["pending", None])
def test_who_is_turned_away_for_the_same_reason_again_and_again_has_one_row_that_says_since_when_and_until(
    one: Stage, status: str | None
) -> None:
    with moving(one) as time:
        began = time.at
        one.lead("ada@acme.example", status)
        one.sync()
        reads = one.calls("members.get")
        for _ in range(8):
            time.on(days=3.5)
            one.act()
        assert one.calls("members.get") - reads == 4  # asked again after each quiet time
        row = only(one)
        assert (row.state, row.words) == (S.REFUSED, f"not subscribed: {status or 'absent'}")
        assert row.created_at == began
        assert row.state_at == began + timedelta(days=28)
        if status is None:
            one.sandbox.mailchimp.add_member("ada@acme.example", "archived")
        else:
            one.sandbox.mailchimp.person_unsubscribes("ada@acme.example")
        time.on(days=7)
        one.act()
        assert [row.words for row in one.ledger()] == [
            row.words,
            f"not subscribed: {'archived' if status is None else 'unsubscribed'}",
        ]
        assert one.entered() == {}


def test_who_confirms_at_last_is_in_the_journey_at_once_where_the_platform_tells(one: Stage) -> None:
    one.lead("ada@acme.example", "pending")
    one.sync()
    assert one.states() == {S.REFUSED: 1}
    told = {"type": "subscribe", "fired_at": "2026-11-22 12:00:00", "data[email]": "Ada@acme.example"}
    one.event(told, vendor="mailchimp")  # told too early, or by somebody else: it is only a hint
    one.act()
    assert one.entered() == {}
    one.sandbox.mailchimp.person_confirms("ada@acme.example")
    one.event(told | {"fired_at": "2026-11-22 12:00:01"}, vendor="mailchimp")
    one.act()
    assert one.entered() == {"ada@acme.example": 1}
    assert one.harmless()


def test_who_waited_past_their_time_for_a_cap_is_taken_up_the_next_day_until_everybody_is_in(store: Store) -> None:
    guards = {"per_hour": [10, "0%"], "per_day": [10, "0%"]}
    with stage(store, journey(TAG), guards=guards) as made, moving(made) as time:
        for n in range(30):
            made.lead(f"lead{n}@acme.example")
        made.sync()
        entered = []
        for _ in range(4):
            entered.append(len(made.entered()))
            time.on(hours=25)
            made.act()
        assert entered == [10, 20, 30, 30]
        waited = [row for row in made.ledger() if row.state is S.EXPIRED]
        assert len(waited) == 20  # one row for each who waited, however many days
        assert set(made.entered().values()) == {1}


def test_without_a_score_nobody_is_contacted(store: Store) -> None:
    """A condition on a score that a person does not have is false, whatever it says (G23)."""
    scores = {"lead": BASE["scores"]["lead"] | {"applies_to": {"job_title": {"equals": "director"}}}}
    with stage(store, journey(TAG, when={"score.lead": {"at_most": 100}}), scores=scores) as made:
        made.lead("engineer@acme.example")
        made.lead("director@acme.example", jobtitle="Director")
        made.sync()
        assert made.entered() == {"director@acme.example": 1}


def test_a_merge_between_claim_and_call_asks_anew(one: Stage) -> None:
    """The row changed hands while the platform was asked: it is given back, not called and not lost."""
    first, second = one.lead("ada@acme.example"), one.lead("eda@acme.example", jobtitle="")
    one.until_enrol()
    people = one.person(first), one.person(second)
    really: Any = one.parts.platform

    class Merging:
        def __getattr__(self, name: str) -> Any:
            return getattr(really, name)

        def read_members(self, emails: Any) -> Any:
            with one.store.writing() as tx:
                leads.merge_people(tx, people[1], people[0], clock.now())
            return really.read_members(emails)

    one.parts.platform = Merging()  # type: ignore[assignment]
    one.enrol()
    one.parts.platform = really
    assert one.entered() == {}
    assert one.states() == {S.WANTED: 1}


def test_the_vendors_journal_shows_no_call_that_raises_a_status(store: Store) -> None:
    """Every state of a member against every wish of ours, several rounds: no status moves, nobody is made (G21)."""
    back = {"score": {"hubspot": "leadbridge_score", "mailchimp": "LBSCORE"}}
    with stage(store, journey(TAG), journey(TRIGGER), write_back=back) as made, moving(made) as time:
        records = [made.lead(status=status) for status in STATUSES]
        before = made.sandbox.mailchimp.dump()["audiences"][rooms.AUDIENCE]["members"]
        for title in ("Director", "Engineer", "Director"):
            made.sync()
            for record in records:
                made.edit(record, jobtitle=title)
            time.on(days=8)
        after = made.sandbox.mailchimp.dump()["audiences"][rooms.AUDIENCE]["members"]
        assert {e: m["status"] for e, m in after.items()} == {e: m["status"] for e, m in before.items()}
        assert made.harmless()
        assert set(made.entered()) == {"lead1@acme.example"}
