"""Several sources read at the same time: none waits for another, none runs far ahead, and none outlives the reading."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.base import Page
from leadbridge.errors import RetryLater
from sync.readers import Readers
from tests.helpers.waiting import LONG


def page(n: int) -> Page[Any]:
    return Page([n], {"at": str(n)})


def readers_alive() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("read ")]


def test_sources_wait_for_their_vendors_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=LONG)

    def pages() -> Iterator[Page[Any]]:
        both.wait()  # would break if one were read after the other
        yield page(1)

    with Readers() as readers:
        readers.start("one", pages)
        readers.start("other", pages)
        found = [readers.next() for _ in range(4)]
    assert sorted(name for name, what in found if isinstance(what, Page)) == ["one", "other"]
    assert sorted(name for name, what in found if what is None) == ["one", "other"]


def test_a_source_may_be_any_iterator_and_may_be_empty() -> None:
    with Readers() as readers:
        readers.start("none", lambda: iter(()))
        assert readers.next() == ("none", None)
        readers.start("listed", lambda: iter([page(1)]))
        assert [readers.next(), readers.next()] == [("listed", page(1)), ("listed", None)]


def test_no_source_is_more_than_a_page_ahead() -> None:
    asked, second = [], threading.Event()

    def pages() -> Iterator[Page[Any]]:
        for n in range(5):
            asked.append(n)
            if n == 1:
                second.set()
            yield page(n)

    with Readers() as readers:
        readers.start("one", pages)
        assert readers.next() == ("one", page(0))
        assert second.wait(LONG)  # on its way while the first is stored
        assert asked == [0, 1]
        assert [readers.next()[1] for _ in range(5)] == [*(page(n) for n in range(1, 5)), None]


def test_what_ends_a_source_is_told_where_its_pages_are_and_ends_no_other() -> None:
    def broken() -> Iterator[Page[Any]]:
        yield page(1)
        raise RetryLater("vendor", "read", "not now")

    def whole() -> Iterator[Page[Any]]:
        yield page(2)

    with Readers() as readers:
        readers.start("broken", broken)
        readers.start("whole", whole)
        found = [readers.next() for _ in range(4)]
    assert isinstance(next(what for name, what in found if name == "broken" and not isinstance(what, Page)), RetryLater)
    assert ("whole", None) in found


def test_leaving_or_dropping_ends_the_threads_and_closes_what_they_read() -> None:
    closed: list[str] = []

    def endless(name: str) -> Iterator[Page[Any]]:
        try:
            while True:
                yield page(1)
        finally:
            closed.append(name)

    def left_in_the_middle() -> None:
        with Readers() as readers:
            read(readers)
            raise KeyboardInterrupt

    def read(readers: Readers) -> None:
        for name in ("dropped", "left"):
            readers.start(name, lambda name=name: endless(name))  # type: ignore[misc]
        while readers.next()[0] != "dropped":
            pass
        readers.drop("dropped")
        assert closed == ["dropped"]
        assert [readers.next()[0] for _ in range(5)] == ["left"] * 5

    with pytest.raises(KeyboardInterrupt):
        left_in_the_middle()
    assert closed == ["dropped", "left"]
    assert readers_alive() == []
