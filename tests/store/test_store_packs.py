"""Packed activities read like the rows they are derived from, whatever happened to the rows."""

import contextlib
import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from leadbridge.store import Store, activities, leads, open_store, packs, tables
from leadbridge.types import Activity, ActivityKind
from tests.helpers.databases import KEY
from tests.helpers.store_people import NOW, people, person

Row = tuple[int, int, str, dict[str, Any]]


@pytest.fixture(autouse=True)
def _small_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "SPAN", 4)
    monkeypatch.setattr(packs, "FEW", 1)


def did(source_id: str, subject: str = "hubspot:contact:1", minutes: int = 0, **attributes: str | int) -> Activity:
    at = NOW + timedelta(minutes=minutes)
    kind = (ActivityKind.PAGE_VIEW, ActivityKind.CALL)[minutes % 2]
    return Activity(subject, kind, at, "hubspot.events", source_id, attributes)


def read_packed(store: Store, span: int, *, keep: bool = False) -> list[Row]:
    with store.reading() as tx:
        found, pack = packs.read(tx, span)
    if keep and pack is not None:
        with store.writing() as tx:
            assert packs.keep(tx, pack)
    return as_rows(found)


def as_rows(found: packs.ActivityColumns) -> list[Row]:
    return [
        (person, at, found.kinds[kind], found.documents[document])
        for person, at, kind, document in zip(
            found.person_id.tolist(), found.at.tolist(), found.kind.tolist(), found.document.tolist(), strict=True
        )
    ]


def read_rows(store: Store, span: int) -> list[Row]:
    first, last = packs.ids_of(span)
    with store.reading() as tx:
        rows = activities.activities_of(tx, range(first, last + 1))
    return list(zip(rows.person_id, rows.micros, rows.kind, rows.attributes, strict=True))


def is_packed(store: Store, span: int) -> bool:
    with store.reading() as tx:
        return packs.read(tx, span)[1] is None


def test_what_is_packed_reads_like_the_rows(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = person(tx, "1"), person(tx, "2")
        activities.add_activities(
            tx,
            [did("a", minutes=3, url="/prix é"), did("b"), did("c", "hubspot:contact:2", 2, n=5), did("d", minutes=3)],
            NOW,
        )
    assert packs.span_of(ada) == packs.span_of(bob) == 0
    expected = read_rows(store, 0)
    assert len(expected) == 4
    assert read_packed(store, 0, keep=True) == expected
    assert is_packed(store, 0)
    assert read_packed(store, 0) == expected


def test_a_span_of_nobody_is_not_packed(store: Store) -> None:
    assert read_packed(store, 7) == []
    assert is_packed(store, 7)


def test_few_changes_are_read_beside_the_pack_and_many_renew_it(store: Store) -> None:
    with store.writing() as tx:
        for number in "12":
            person(tx, number)
        activities.add_activities(tx, [did("a"), did("b", "hubspot:contact:2")], NOW)
    read_packed(store, 0, keep=True)
    with store.writing() as tx:
        activities.add_activities(tx, [did("c", minutes=-5)], NOW)
    assert is_packed(store, 0)
    assert read_packed(store, 0) == read_rows(store, 0)
    with store.writing() as tx:
        activities.add_activities(tx, [did("d", "hubspot:contact:2")], NOW)
    assert not is_packed(store, 0)
    assert read_packed(store, 0, keep=True) == read_rows(store, 0)
    assert is_packed(store, 0)


def test_a_pack_made_beside_a_change_does_not_hide_it(store: Store) -> None:
    with store.writing() as tx:
        person(tx, "1")
        activities.add_activities(tx, [did("a")], NOW)
    with store.reading() as tx:
        _, pack = packs.read(tx, 0)
    assert pack is not None
    with store.writing() as tx:  # committed after the moment the pack is of, before it is kept
        activities.add_activities(tx, [did("b")], NOW)
    with store.writing() as tx:
        assert packs.keep(tx, pack)
    assert read_packed(store, 0) == read_rows(store, 0)
    assert len(read_rows(store, 0)) == 2


def test_of_two_packs_made_at_once_the_first_is_kept(store: Store) -> None:
    with store.writing() as tx:
        person(tx, "1")
        activities.add_activities(tx, [did("a")], NOW)
    with store.reading() as tx:
        _, older = packs.read(tx, 0)
    with store.writing() as tx:
        activities.add_activities(tx, [did("b")], NOW)
    with store.reading() as tx:
        _, newer = packs.read(tx, 0)
    assert older is not None
    assert newer is not None
    with store.writing() as tx:
        assert packs.keep(tx, newer)
    with store.writing() as tx:
        assert not packs.keep(tx, older)
    assert read_packed(store, 0) == read_rows(store, 0)


@pytest.mark.parametrize("packed_before", [True, False])
def test_nobody_forgotten_comes_back_by_a_pack(store: Store, packed_before: bool) -> None:
    with store.writing() as tx:
        ada = person(tx, "1")
        activities.add_activities(tx, [did("a", note="a secret"), did("b")], NOW)
    if packed_before:
        read_packed(store, 0, keep=True)
        with store.writing() as tx:  # so that another pack would be made
            activities.note_changes(tx, [1, 2, 3])
    with store.reading() as tx:
        _, pack = packs.read(tx, 0)
    assert pack is not None
    with store.writing() as tx:
        tx.execute(delete(tables.activities).where(tables.activities.c.person_id == ada))
        packs.empty(tx, [ada])
    with store.writing() as tx:
        assert not packs.keep(tx, pack)
        bodies = tx.execute(select(tables.activity_packs.c.body)).scalars().all()
        notes = tx.execute(select(tables.activity_changes.c.person_id)).scalars().all()
    assert bodies == [None]
    assert ada not in notes
    assert read_packed(store, 0) == []


def test_a_pack_of_another_format_is_made_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.writing() as tx:
        person(tx, "1")
        activities.add_activities(tx, [did("a")], NOW)
    read_packed(store, 0, keep=True)
    monkeypatch.setattr(packs, "_FORMAT", 2)
    assert not is_packed(store, 0)
    assert read_packed(store, 0, keep=True) == read_rows(store, 0)
    assert is_packed(store, 0)


# --- any sequence --------------------------------------------------------------------------------------------------

numbers = st.integers(0, 6)
steps = st.one_of(
    st.tuples(st.just("add"), numbers, st.integers(0, 3)),
    st.tuples(st.just("link"), numbers, numbers),
    st.tuples(st.just("merge"), numbers, numbers),
    st.tuples(st.just("forget"), numbers, st.just(0)),
    st.tuples(st.just("pack"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("begin a pack"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("end a pack"), st.just(0), st.just(0)),
)


class _Life:
    """Seven people over two spans, to whom things happen; subject 0 is nobody's until it is linked."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.made = 0
        self.begun: list[packs.Pack] = []
        with store.writing() as tx:
            self.alive = people(tx, 7)
        self.first = self.alive[0]
        self.spans = sorted({packs.span_of(one) for one in self.alive})

    def step(self, what: str, one: int, other: int) -> None:
        with self.store.reading() as tx:
            _, pack = packs.read(tx, self.spans[one % len(self.spans)])
        with self.store.writing() as tx:
            here = self.alive[one % len(self.alive)] if self.alive else None
            there = self.alive[other % len(self.alive)] if self.alive else None
            match what:
                case "add":
                    self.made += 1
                    key = f"life:{self.first}:{one}"
                    row = did(f"{key}:{self.made}", key, self.made % 5 - 2, n=other)
                    activities.add_activities(tx, [row], NOW)
                case "link" if here is not None:
                    leads.link_keys(tx, {f"life:{self.first}:{other}": here})
                case "merge" if here is not None and there is not None and here != there:
                    leads.merge_people(tx, here, there, NOW)
                    self.alive.remove(there)
                case "forget" if here is not None:
                    tx.execute(delete(tables.activities).where(tables.activities.c.person_id == here))
                    packs.empty(tx, [here])
                case "pack" if pack is not None:
                    packs.keep(tx, pack)
                case "begin a pack" if pack is not None:
                    self.begun.append(pack)
                case "end a pack" if self.begun:
                    packs.keep(tx, self.begun.pop())


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lasting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples; each brings people of its own."""
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            file = tmp_path_factory.mktemp("packs") / "store.db"
            shutil.copyfile(request.getfixturevalue("_sqlite_template"), file)
            url = f"sqlite:///{file}"
        else:
            url = stack.enter_context(request.getfixturevalue("postgres_server").database())
        opened = open_store(url, key=KEY)
        stack.callback(opened.close)
        yield opened


@settings(
    max_examples=40,
    derandomize=True,
)
@example([("add", 1, 0), ("link", 1, 1), ("begin a pack", 0, 0), ("add", 1, 1), ("end a pack", 0, 0)])
@example([("add", 1, 0), ("link", 1, 1), ("pack", 0, 0), ("merge", 2, 1), ("forget", 1, 0), ("end a pack", 0, 0)])
@given(happening=st.lists(steps, max_size=14))
def test_after_anything_at_all_packs_read_like_rows(lasting: Store, happening: list[tuple[str, int, int]]) -> None:
    life = _Life(lasting)
    for what, one, other in happening:
        life.step(what, one, other)
        for span in life.spans:
            assert read_packed(lasting, span) == read_rows(lasting, span)
