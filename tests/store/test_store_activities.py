"""What people did."""

import time
from datetime import timedelta

from leadbridge.store import Store, activities, leads, tables
from leadbridge.types import Activity, ActivityKind
from tests.helpers.store_people import NOW, people, person


def did(source_id: str, subject: str = "hubspot:contact:1", minutes: int = 0, **attributes: str | int) -> Activity:
    at = NOW + timedelta(minutes=minutes)
    return Activity(subject, ActivityKind.PAGE_VIEW, at, "hubspot.events", source_id, attributes)


def test_an_activity_is_stored_once_however_often_it_comes(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1")
        first = activities.add_activities(tx, [did("a"), did("b"), did("a")], NOW)
        assert first == activities.Added({ada}, new=2, repeated=1, orphans=0)
        again = activities.add_activities(tx, [did("b", minutes=9), did("c")], NOW)
        assert again == activities.Added({ada}, new=1, repeated=1, orphans=0)
        assert activities.add_activities(tx, [], NOW) == activities.Added(set(), 0, 0, 0)
        rows = activities.activities_of(tx, [ada])
        assert len(rows) == 3
        assert set(rows.at) == {NOW}


def test_the_same_id_of_another_source_is_another_activity(store: Store) -> None:
    with store.writing() as tx:
        person(tx, "1")
        other = Activity("hubspot:contact:1", ActivityKind.CALL, NOW, "hubspot.calls", "a")
        assert activities.add_activities(tx, [did("a"), other], NOW).new == 2


def test_an_activity_of_nobody_waits_for_whoever_gets_its_key(store: Store) -> None:
    with store.writing() as tx:
        orphan = "email:ada@acme.example"
        added = activities.add_activities(tx, [did("a", orphan), did("b", orphan), did("c", "email:x@y.example")], NOW)
        assert added == activities.Added(set(), new=3, repeated=0, orphans=3)
        (ada,) = people(tx, 1)
        assert leads.link_keys(tx, {orphan: ada}) == {ada}
        assert leads.link_keys(tx, {orphan: ada}) == set()
        assert len(activities.activities_of(tx, [ada])) == 2


def test_the_sweep_adopts_what_slipped_in_beside_a_new_key(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        leads.link_keys(tx, {"hubspot:contact:1": ada})
        tx.execute(tables.activities.insert().values(
            subject="hubspot:contact:1", kind="call", at=NOW, source="s", source_id="1", attributes={}, stored_at=NOW
        ))  # fmt: skip
        assert activities.adopt(tx, ["hubspot:contact:2"]) == set()
        assert activities.adopt(tx) == {ada}
        assert activities.adopt(tx) == set()


def test_activities_come_by_person_then_instant_then_id_as_columns(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = person(tx, "1"), person(tx, "2")
        activities.add_activities(
            tx,
            [did("3", minutes=5, url="/pricing"), did("1"), did("9", "hubspot:contact:2", 1), did("2", minutes=5)],
            NOW,
        )
        rows = activities.activities_of(tx, [bob, ada, ada])
        assert rows.person_id == [ada, ada, ada, bob]
        assert rows.at == [NOW, NOW + timedelta(minutes=5), NOW + timedelta(minutes=5), NOW + timedelta(minutes=1)]
        assert rows.id[1] < rows.id[2]
        assert sorted(map(str, rows.attributes[1:3])) == ["{'url': '/pricing'}", "{}"]
        assert set(rows.kind) == {"page_view"}
        assert len(activities.activities_of(tx, [])) == 0
        assert activities.activities_of(tx, [ada + 99]).at == []


def test_activities_since_an_instant_include_that_instant(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1")
        activities.add_activities(tx, [did("a"), did("b", minutes=1), did("c", minutes=2)], NOW)
        assert len(activities.activities_of(tx, [ada], NOW + timedelta(minutes=1))) == 2
        assert len(activities.activities_of(tx, [ada], NOW + timedelta(minutes=1, microseconds=1))) == 1


def test_twenty_thousand_activities_are_read_within_100_ms(store: Store) -> None:
    with store.writing() as tx:
        ids = people(tx, 500)
        leads.link_keys(tx, {f"hubspot:contact:{n}": person_id for n, person_id in enumerate(ids)})
        rows = [did(str(n), f"hubspot:contact:{n % 500}", n, url="/pricing") for n in range(20_000)]
        assert activities.add_activities(tx, rows, NOW).new == 20_000
    took = []
    for _ in range(5):
        with store.reading() as tx:
            begun = time.process_time()
            found = activities.activities_of(tx, ids)
            took.append(time.process_time() - begun)
        assert len(found) == 20_000
    assert min(took) < 0.1
