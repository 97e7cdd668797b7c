"""Counters: declared once, complete labels, exact under threads."""

import threading

import pytest

from leadbridge import metrics


@pytest.fixture
def counter() -> metrics.Counter:
    found = next((one for one in metrics.counters() if one.name == "test_things"), None)
    made = found or metrics.Counter("test_things", "Things, for tests", "colour", "size")
    metrics.reset()
    return made


def test_every_counter_has_a_help_text_and_a_name_of_its_own(counter: metrics.Counter) -> None:
    assert all(one.help for one in metrics.counters())
    with pytest.raises(ValueError, match="twice"):
        metrics.Counter("test_things", "again")


def test_labels_must_be_given_in_full(counter: metrics.Counter) -> None:
    counter.add(2, size="big", colour="red")
    counter.add(colour="red", size="big")
    assert counter.value(colour="red", size="big") == 3
    assert counter.values() == {("red", "big"): 3}
    assert counter.value(colour="blue", size="big") == 0
    wrong: list[dict[str, str]] = [
        {}, {"colour": "red"}, {"colour": "red", "shape": "round"}, {"colour": "a", "size": "b", "c": "d"},
    ]  # fmt: skip
    for labels in wrong:
        with pytest.raises(KeyError):
            counter.add(1, **labels)


def test_no_count_is_lost_between_threads(counter: metrics.Counter) -> None:
    def count() -> None:
        for _ in range(2000):
            counter.add(colour="red", size="small")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.value(colour="red", size="small") == 16_000
