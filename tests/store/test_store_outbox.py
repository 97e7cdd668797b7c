"""What has yet to be written to the vendors."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from leadbridge.store import Store, leads, outbox, quarantine
from leadbridge.store.due import Lane
from leadbridge.store.outbox import ClaimedWrite, Wanted
from leadbridge.types import RecordRef
from tests.helpers.store_people import NOW, lead, person, ref

ADDRESS = RecordRef("mailchimp", "member", "ada@acme.example")
TARGETS = pytest.mark.parametrize("target", [ref("1"), ADDRESS], ids=["record", "member"])
FAR = datetime(2100, 1, 1, tzinfo=UTC)


class Desk:
    """One person's record, and the ways of the outbox around it."""

    def __init__(self, tx: Connection, target: RecordRef) -> None:
        self.tx = tx
        self.target = target
        self.person = person(tx, "1", "ada@acme.example")

    def want(self, version: int, values: Mapping[str, str], now: datetime = NOW) -> set[RecordRef]:
        return outbox.want(self.tx, [Wanted(self.target, self.person, values, version)], now)

    def claim(self, *, lease_seconds: float = 60, now: datetime | None = FAR) -> list[ClaimedWrite]:
        return outbox.claim_writes(
            self.tx, self.target.vendor, limit=10, owner="w", lease_seconds=lease_seconds, now=now
        )  # fmt: skip

    def written(self) -> Mapping[str, str]:
        found = outbox.confirmed(self.tx, [self.target]).get(self.target)
        return found.written if found else {}

    def write(self, version: int, values: Mapping[str, str], now: datetime = NOW) -> None:
        self.want(version, values, now)
        outbox.settle_written(self.tx, self.claim(), now)


@TARGETS
def test_a_confirmed_write_is_remembered_and_no_longer_waits(store: Store, target: RecordRef) -> None:
    with store.writing() as tx:
        desk = Desk(tx, target)
        desk.want(1, {"score": "40", "grade": "B"})
        assert outbox.pending_writes(tx, target.vendor) == 1
        (write,) = desk.claim()
        assert write == ClaimedWrite(
            target, {"score": "40", "grade": "B"}, 1, write.token, desk.person, attempts=1, id=write.id
        )  # fmt: skip
        assert outbox.settle_written(tx, [write], NOW) == {write.id}
        assert desk.written() == {"score": "40", "grade": "B"}
        assert outbox.pending_writes(tx, target.vendor) == 0
        desk.write(2, {"score": "41"})
        assert desk.written() == {"score": "41", "grade": "B"}


@TARGETS
def test_an_older_version_never_replaces_a_newer_one_wished_or_written(store: Store, target: RecordRef) -> None:
    with store.writing() as tx:
        desk = Desk(tx, target)
        desk.want(5, {"score": "50"})
        desk.want(4, {"score": "40"})
        (write,) = desk.claim()
        assert write.values == {"score": "50"}
        outbox.settle_written(tx, [write], NOW)
        desk.want(4, {"score": "40"})
        assert desk.claim() == []
        desk.want(5, {"score": "55"})
        assert desk.claim()[0].values == {"score": "55"}


@TARGETS
def test_a_wish_that_became_true_or_void_before_it_was_sent_is_dropped(store: Store, target: RecordRef) -> None:
    with store.writing() as tx:
        desk = Desk(tx, target)
        desk.want(1, {"score": "40"})
        desk.want(2, {})
        assert outbox.pending_writes(tx, target.vendor) == 0
        desk.want(3, {})
        assert desk.claim() == []


RENEWED_AS = pytest.mark.parametrize("version", [3, 2], ids=["newer scores", "the same scores"])
"""The scores moved, or the file asks for something else, or somebody changed what the vendor shows."""


@RENEWED_AS
@TARGETS
def test_a_wish_renewed_while_the_old_one_is_on_its_way_is_sent_after_it(
    store: Store, target: RecordRef, version: int
) -> None:
    with store.writing() as tx:
        desk = Desk(tx, target)
        desk.write(1, {"score": "10", "grade": "C"})
        desk.want(2, {"score": "20"})
        (on_its_way,) = desk.claim()
        desk.want(version, {"grade": "A"})  # computed against score 10, which the record should show again
        assert desk.claim() == []
        outbox.settle_written(tx, [on_its_way], NOW)
        assert desk.written() == {"score": "20", "grade": "C"}
        (write,) = desk.claim()
        assert write.values == {"score": "10", "grade": "A"}
        outbox.settle_written(tx, [write], NOW)
        assert desk.written() == {"score": "10", "grade": "A"}


@RENEWED_AS
@TARGETS
def test_a_wish_withdrawn_while_on_its_way_is_set_back(store: Store, target: RecordRef, version: int) -> None:
    with store.writing() as tx:
        desk = Desk(tx, target)
        desk.write(1, {"score": "10"})
        desk.want(2, {"score": "20"})
        (on_its_way,) = desk.claim()
        desk.want(version, {})
        outbox.settle_written(tx, [on_its_way], NOW)
        assert desk.claim()[0].values == {"score": "10"}


@TARGETS
def test_a_write_without_an_answer_is_not_forgotten_by_the_next_wish(store: Store, target: RecordRef) -> None:
    with store.writing() as tx:
        desk = Desk(tx, target)
        desk.write(1, {"score": "10"})
        desk.want(2, {"score": "20"})
        outbox.retry_write(tx, desk.claim(), NOW)  # perhaps it arrived
        desk.want(3, {"grade": "A"})
        assert desk.claim()[0].values == {"score": "10", "grade": "A"}


@TARGETS
def test_a_renewed_wish_the_vendor_shows_already_ends_with_the_old_one(store: Store, target: RecordRef) -> None:
    with store.writing() as tx:
        desk = Desk(tx, target)
        desk.want(1, {"score": "20"})
        (on_its_way,) = desk.claim()
        desk.want(2, {"score": "20"})
        outbox.settle_written(tx, [on_its_way], NOW)
        assert outbox.pending_writes(tx, target.vendor) == 0


@TARGETS
def test_a_stale_token_changes_nothing(store: Store, target: RecordRef) -> None:
    with store.writing() as tx:
        desk = Desk(tx, target)
        desk.want(1, {"score": "40"})
        stale = desk.claim(lease_seconds=-1)
        fresh = desk.claim()
        assert fresh[0].attempts == 2
        assert outbox.settle_written(tx, stale, NOW) == set()
        assert outbox.retry_write(tx, stale, NOW) == set()
        assert outbox.refuse_write(tx, store.vault, [(stale[0], "no")], NOW) == set()
        assert outbox.renew(tx, stale) == set()
        assert desk.written() == {}
        assert quarantine.count(tx) == 0
        assert outbox.renew(tx, fresh) == {fresh[0].id}
        assert desk.claim(now=None) == []


def test_a_refused_write_is_set_aside_until_its_values_change(store: Store) -> None:
    with store.writing() as tx:
        desk = Desk(tx, ref("1"))
        desk.want(1, {"score": "40"})
        (write,) = desk.claim()
        outbox.refuse_write(tx, store.vault, [(write, "PROPERTY_DOESNT_EXIST")], NOW)
        assert outbox.pending_writes(tx, "hubspot") == 0
        desk.want(2, {"score": "40"})
        assert desk.claim() == []
        (item,) = quarantine.listing(tx)
        assert (item.source, item.ref, item.reason) == ("write_back:hubspot", ref("1").key, "PROPERTY_DOESNT_EXIST")
        assert quarantine.body_of(tx, store.vault, item.id) == b'{"score":"40"}'
        desk.want(3, {"score": "41"})
        (write,) = desk.claim()
        assert (write.values, write.attempts) == ({"score": "41"}, 1)


@pytest.mark.parametrize("version", [1, 2])
def test_a_write_refused_after_it_was_renewed_stays_renewed(store: Store, version: int) -> None:
    with store.writing() as tx:
        desk = Desk(tx, ref("1"))
        desk.want(1, {"score": "bad"})
        (write,) = desk.claim()
        desk.want(version, {"score": "40"})
        outbox.refuse_write(tx, store.vault, [(write, "no number")], NOW)
        assert desk.claim()[0].values == {"score": "40"}


def test_a_write_refused_after_the_same_was_wished_again_is_not_tried_again(store: Store) -> None:
    with store.writing() as tx:
        desk = Desk(tx, ref("1"))
        desk.want(1, {"score": "bad"})
        (write,) = desk.claim()
        desk.want(2, {"score": "bad"})
        outbox.refuse_write(tx, store.vault, [(write, "no number")], NOW)
        assert desk.claim() == []


def test_an_operator_can_have_a_refused_write_tried_again(store: Store) -> None:
    with store.writing() as tx:
        desk = Desk(tx, ref("1"))
        assert not outbox.again(tx, ref("1"), NOW)
        desk.want(1, {"score": "40"})
        outbox.refuse_write(tx, store.vault, [(desk.claim()[0], "scope missing")], NOW)
        assert outbox.again(tx, ref("1"), NOW)
        assert desk.claim()[0].values == {"score": "40"}


def test_a_write_is_tried_again_no_sooner_than_said(store: Store) -> None:
    with store.writing() as tx:
        desk = Desk(tx, ref("1"))
        desk.want(1, {"score": "40"})
        outbox.retry_write(tx, desk.claim(now=NOW), NOW + timedelta(minutes=5))
        assert desk.claim(now=NOW + timedelta(minutes=4)) == []
        (write,) = desk.claim(now=NOW + timedelta(minutes=5))
        assert write.attempts == 2


def test_the_longest_due_write_goes_first_and_each_vendor_has_its_own(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1")
        for number, minutes in [("2", 2), ("3", 1)]:
            outbox.want(tx, [Wanted(ref(number), ada, {"score": "1"}, 1)], NOW + timedelta(minutes=minutes))
        outbox.want(tx, [Wanted(ADDRESS, ada, {"LBSCORE": "1"}, 1)], NOW)
        claims = outbox.claim_writes(tx, "hubspot", limit=10, owner="w")
        assert [claim.ref for claim in claims] == [ref("3"), ref("2")]
        assert outbox.pending_writes(tx, "mailchimp") == 1
        assert outbox.oldest_write(tx, ["hubspot", "mailchimp"]) == NOW


def test_the_hot_signal_is_written_before_decay_and_that_before_a_pass_however_long_they_wait(store: Store) -> None:
    waiting = [("4", Lane.BACKFILL), ("3", Lane.BACKGROUND), ("2", Lane.NORMAL), ("1", Lane.HOT)]
    with store.writing() as tx:
        ada = person(tx, "1")
        for minutes, (number, lane) in enumerate(waiting):
            outbox.want(tx, [Wanted(ref(number), ada, {"score": "1"}, 1, lane)], NOW + timedelta(minutes=minutes))
        hot = outbox.claim_writes(tx, "hubspot", limit=1, owner="w", lanes=[Lane.HOT])
        rest = [outbox.claim_writes(tx, "hubspot", limit=limit, owner="w") for limit in (2, 2)]
        assert [[claim.ref for claim in some] for some in (hot, *rest)] == [
            [ref("1")],
            [ref("2"), ref("3")],
            [ref("4")],
        ]
        assert outbox.pending_writes(tx, "hubspot", lanes=[Lane.HOT, Lane.BACKFILL]) == 2


def test_a_wish_that_waits_keeps_the_more_urgent_lane_until_it_is_written(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1")

        def want(version: int, lane: Lane) -> None:
            outbox.want(tx, [Wanted(ref("1"), ada, {"score": str(version)}, version, lane)], NOW)

        def hot() -> list[ClaimedWrite]:
            return outbox.claim_writes(tx, "hubspot", limit=1, owner="w", lanes=[Lane.HOT], now=FAR)

        want(1, Lane.BACKFILL)
        assert hot() == []
        want(2, Lane.HOT)
        want(3, Lane.BACKGROUND)
        (write,) = hot()
        outbox.settle_written(tx, [write], NOW)
        want(4, Lane.BACKGROUND)
        assert hot() == []


def test_a_record_written_six_times_in_an_hour_pauses_and_says_so(store: Store) -> None:
    with store.writing() as tx:
        desk = Desk(tx, ref("1"))
        for number in range(6):
            assert desk.want(number, {"score": str(number)}, NOW + timedelta(minutes=number)) == set()
            outbox.settle_written(tx, desk.claim(), NOW + timedelta(minutes=number))
        assert desk.want(7, {"score": "7"}, NOW + timedelta(minutes=10)) == {ref("1")}
        assert desk.claim(now=NOW + timedelta(minutes=59)) == []
        assert len(desk.claim(now=NOW + timedelta(minutes=60))) == 1


def test_a_record_written_over_more_than_an_hour_does_not_pause(store: Store) -> None:
    with store.writing() as tx:
        desk = Desk(tx, ref("1"))
        for number in range(12):
            desk.write(number, {"score": str(number)}, NOW + timedelta(minutes=13 * number))
        assert desk.want(13, {"score": "x"}, NOW + timedelta(minutes=13 * 12)) == set()


def test_what_the_crm_shows_when_read_is_what_counts_as_written(store: Store) -> None:
    with store.writing() as tx:
        desk = Desk(tx, ref("1"))
        desk.write(1, {"score": "40"})
        edited = replace(lead("1", at=NOW + timedelta(minutes=1)), written={"score": "99"})
        leads.save_records(tx, [(desk.person, edited)], NOW)
        assert desk.written() == {"score": "99"}
        assert leads.refs_of(tx, [desk.person], "hubspot")[desk.person][0].written == {"score": "99"}


def test_a_record_that_moved_is_wished_nothing_more(store: Store) -> None:
    with store.writing() as tx:
        desk = Desk(tx, ref("1"))
        desk.want(1, {"score": "40"})
        outbox.drop_writes(tx, [ref("1"), ref("2")])
        assert outbox.pending_writes(tx, "hubspot") == 0
        assert outbox.oldest_write(tx, ["hubspot", "mailchimp"]) is None


def test_of_two_wishes_for_one_record_the_newer_counts(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1")
        outbox.want(
            tx, [Wanted(ref("1"), ada, {"score": "2"}, 2), Wanted(ref("1"), ada, {"score": "1"}, 1)], NOW
        )  # fmt: skip
        assert outbox.claim_writes(tx, "hubspot", limit=5, owner="w")[0].values == {"score": "2"}


@pytest.mark.parametrize("read", ["refs_of", "confirmed"])
def test_no_confirmation_slips_in_between_reading_and_wishing(store: Store, read: str) -> None:
    with store.writing() as tx:
        desk = Desk(tx, ref("1"))
        desk.write(1, {"score": "10"})
        desk.want(2, {"score": "20"})
        on_its_way = desk.claim()
    was_read = threading.Event()

    def rescore() -> None:
        with store.writing() as tx:
            if read == "refs_of":
                shown = leads.refs_of(tx, [desk.person], "hubspot")[desk.person][0].written
            else:
                shown = outbox.confirmed(tx, [ref("1")])[ref("1")].written
            was_read.set()
            time.sleep(0.1)
            values = {} if shown == {"score": "10"} else {"score": "10"}
            outbox.want(tx, [Wanted(ref("1"), desk.person, values, 3)], NOW)

    def send() -> None:
        was_read.wait(5)
        with store.writing() as tx:
            outbox.settle_written(tx, on_its_way, NOW)

    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(rescore), pool.submit(send)]:
            job.result()
    with store.writing() as tx:
        claims = outbox.claim_writes(tx, "hubspot", limit=5, owner="w", now=FAR)
        assert [claim.values for claim in claims] == [{"score": "10"}]
