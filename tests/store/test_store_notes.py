"""The small books: quarantine, watermarks, models, audit, and leases by name."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from leadbridge.store import Store, audit, leases, models, quarantine, watermarks
from leadbridge.store.quarantine import Quarantined
from tests.helpers.store_people import NOW

LATER = NOW + timedelta(hours=1)


def test_the_same_thing_set_aside_again_is_counted_with_its_newest_reason_and_body(store: Store) -> None:
    with store.writing() as tx:
        first = quarantine.put(tx, store.vault, "inbox:hubspot", "no id", b"one", NOW, "a")
        assert quarantine.put(tx, store.vault, "inbox:hubspot", "no date", b"two", LATER, "a") == first
        assert quarantine.listing(tx) == [Quarantined(first, "inbox:hubspot", "a", "no date", 2, NOW, LATER)]
        assert quarantine.body_of(tx, store.vault, first) == b"two"


def test_things_without_a_name_are_set_aside_each_for_itself(store: Store) -> None:
    with store.writing() as tx:
        ids = [quarantine.put(tx, store.vault, "intake", "too deep", b"{", NOW) for _ in range(3)]
        assert len(set(ids)) == quarantine.count(tx) == 3
        assert [item.id for item in quarantine.listing(tx, after=ids[0], limit=1)] == [ids[1]]
        assert quarantine.listing(tx, source="inbox:hubspot") == []


def test_an_item_is_taken_back_once(store: Store) -> None:
    with store.writing() as tx:
        item = quarantine.put(tx, store.vault, "intake", "too deep", b"{", NOW)
        taken = quarantine.take_back(tx, store.vault, item)
        assert taken is not None
        assert taken[1] == b"{"
        assert quarantine.take_back(tx, store.vault, item) is None
        assert quarantine.body_of(tx, store.vault, item) is None


def test_old_items_are_purged(store: Store) -> None:
    with store.writing() as tx:
        quarantine.put(tx, store.vault, "intake", "old", b"", NOW)
        young = quarantine.put(tx, store.vault, "intake", "young", b"", LATER)
        assert quarantine.purge(tx, LATER) == 1
        assert [item.id for item in quarantine.listing(tx)] == [young]


def test_progress_is_what_was_saved_last_for_each_stream(store: Store) -> None:
    with store.writing() as tx:
        assert watermarks.progress(tx, "hubspot", "leads") is None
        watermarks.save_progress(tx, "hubspot", "leads", {"after": "1"}, NOW)
        watermarks.save_progress(tx, "hubspot", "leads", {"after": "2"}, LATER)
        watermarks.save_progress(tx, "hubspot", "forms", {}, NOW)
        assert watermarks.progress(tx, "hubspot", "leads") == {"after": "2"}
        assert watermarks.progress(tx, "hubspot", "forms") == {}
        assert [(row.stream, row.at) for row in watermarks.listing(tx)] == [("forms", NOW), ("leads", LATER)]


def test_a_model_stays_as_it_was_first_used(store: Store) -> None:
    with store.writing() as tx:
        models.remember_model(tx, "abc", "lead", '{"rules": []}', NOW)
        models.remember_model(tx, "abc", "lead", "{}", LATER)
        assert models.model(tx, "abc") == models.StoredModel("abc", "lead", '{"rules": []}', NOW)
        assert models.model(tx, "def") is None


def test_the_audit_lists_what_was_done_newest_first(store: Store) -> None:
    with store.writing() as tx:
        for number in range(3):
            audit.note(tx, "ada", "released a cap", {"intents": number}, NOW + timedelta(minutes=number))
        lines = audit.listing(tx, limit=2)
        assert [line.detail for line in lines] == [{"intents": 2}, {"intents": 1}]
        assert [line.detail for line in audit.listing(tx, before=lines[-1].id)] == [{"intents": 0}]
        assert (lines[0].who, lines[0].what, lines[0].at) == ("ada", "released a cap", NOW + timedelta(minutes=2))


def test_a_named_lease_has_one_holder(store: Store) -> None:
    barrier = threading.Barrier(6)

    def take(owner: str) -> int | None:
        barrier.wait()
        with store.writing() as tx:
            return leases.take(tx, "pull hubspot leads", owner)

    with ThreadPoolExecutor(6) as pool:
        tokens = [token for token in pool.map(take, "abcdef") if token]
    assert len(tokens) == 1
    with store.writing() as tx:
        assert leases.mine(tx, "pull hubspot leads", tokens[0])
        assert not leases.mine(tx, "pull hubspot leads", tokens[0] + 1)
        assert leases.take(tx, "pull hubspot forms", "a") is not None


def test_a_named_lease_passes_on_when_dropped_or_dead_and_its_old_token_is_worth_nothing(store: Store) -> None:
    with store.writing() as tx:
        first = leases.take(tx, "token", "a", -1)
        assert first is not None
        second = leases.take(tx, "token", "b")
        assert second is not None
        assert second > first
        assert not leases.keep(tx, "token", first)
        assert not leases.drop(tx, "token", first)
        assert leases.take(tx, "token", "c") is None
        assert leases.keep(tx, "token", second, -1)
        assert leases.take(tx, "token", "c") is not None
        third = leases.take(tx, "token", "d")
        assert third is None
        assert not leases.mine(tx, "token", second)


def test_a_dropped_lease_is_free_at_once(store: Store) -> None:
    with store.writing() as tx:
        token = leases.take(tx, "token", "a")
        assert token is not None
        assert leases.drop(tx, "token", token)
        assert leases.take(tx, "token", "b") is not None
