"""One vendor call: deadline, budget, retry, naming, breaker."""

import random
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
import urllib3
from urllib3.exceptions import NewConnectionError, ProtocolError

from leadbridge import metrics
from leadbridge.budgets import OwnBudgets, Quota, RatePerSpan, Simultaneous, Usage
from leadbridge.call import (
    Breaker,
    Caller,
    Garbled,
    Pace,
    Patience,
    TooSlow,
    masked,
    read_within,
    retry_after,
    transport_error,
)
from leadbridge.errors import NeedsOperator, RecordRefused, RetryLater, Unknown, VendorError
from leadbridge.testing import Skipping
from tests.helpers.waiting import LONG

PATIENCE = Patience(connect=1, answer=10, whole=100, tries=5, first_wait=1, longest_wait=30)


class Still(Skipping):
    """Time in which nothing but waits takes any: a machine that is busy is not slow here."""

    def ticks(self) -> float:
        return sum(self.waits) + 1e-6 * len(self.waits)  # a wait too short for the digits of the sum counts, too


def name(operation: str, error: Exception) -> VendorError | None:
    return transport_error("vendor", operation, error)


def caller(time_: Skipping, budgets: dict[str, object] | None = None, breaker: Breaker | None = None) -> Caller:
    budgets = budgets or {"calls": RatePerSpan((1000, 1.0), ticks=time_.ticks)}
    return Caller("vendor", name, budgets, pace=time_.pace(PATIENCE), breaker=breaker)  # type: ignore[arg-type]


def failing(*errors: Exception, answer: str = "done") -> Callable[[float], str]:
    """Fails with each error in turn, then answers."""
    left = list(errors)

    def send(_: float) -> str:
        if left:
            raise left.pop(0)
        return answer

    return send


REFUSED_CONNECTION = NewConnectionError(None, "refused")  # type: ignore[arg-type]
CUT = ProtocolError("cut")
LIMITED = RetryLater("vendor", "read", "limit", status=429)


@pytest.mark.parametrize("error", [REFUSED_CONNECTION, LIMITED])
def test_what_is_proven_not_to_have_happened_is_tried_again_even_when_it_must_not_be_repeated(error: Exception) -> None:
    assert caller(Still())("trigger", failing(error, error), repeatable=False) == "done"


@pytest.mark.parametrize("error", [CUT, TimeoutError("slow"), Garbled("html"), TooSlow()])
def test_an_unknown_outcome_is_tried_again_only_when_repeating_is_harmless(error: Exception) -> None:
    assert caller(Still())("read", failing(error), repeatable=True) == "done"
    with pytest.raises(Unknown):
        caller(Still())("trigger", failing(error), repeatable=False)


def test_a_refusal_is_never_repeated() -> None:
    tries: list[VendorError] = []
    with pytest.raises(RecordRefused):
        caller(Still())("write", failing(RecordRefused("vendor", "write", "no")), repeatable=True, failures=tries)
    assert len(tries) == 1


def test_after_five_tries_the_last_error_is_the_answer() -> None:
    tries: list[VendorError] = []
    with pytest.raises(Unknown):
        caller(Still())("read", failing(*[CUT] * 9), repeatable=True, failures=tries)
    assert len(tries) == PATIENCE.tries


def test_waits_are_drawn_from_a_window_that_doubles() -> None:
    clock = Still()
    with pytest.raises(RetryLater):
        caller(clock)("read", failing(*[CUT] * 9), repeatable=True)
    assert len(clock.waits) == 4
    assert all(0 <= wait <= 2**n for n, wait in enumerate(clock.waits))


def test_the_vendors_own_wish_is_honoured() -> None:
    clock = Still()
    wish = RetryLater("vendor", "read", "limit", status=503, after=7.0)
    caller(clock)("read", failing(wish), repeatable=True)
    assert 7.0 <= sum(clock.waits) <= 7.7


def test_a_wish_longer_than_our_patience_is_left_to_the_caller() -> None:
    clock = Still()
    wish = RetryLater("vendor", "read", "daily limit", status=429, after=3600.0)
    with pytest.raises(RetryLater) as caught:
        caller(clock)("read", failing(wish), repeatable=True)
    assert caught.value.after == 3600.0
    assert clock.waits == []


def test_after_a_429_the_other_calls_of_the_connection_keep_quiet_too() -> None:
    clock = Still()
    send = caller(clock)
    wish = RetryLater("vendor", "read", "daily limit", status=429, after=3600.0)
    with pytest.raises(RetryLater):
        send("read", failing(wish), repeatable=True)
    sent: list[float] = []
    with pytest.raises(RetryLater) as caught:
        send("write", lambda seconds: sent.append(seconds), repeatable=True)
    assert sent == []
    assert caught.value.after == pytest.approx(3600, abs=5)


def test_a_try_gets_no_more_time_than_is_left_of_the_whole() -> None:
    clock = Still()
    given: list[float] = []

    def send(seconds: float) -> str:
        given.append(seconds)
        clock.sleep(seconds)
        raise CUT

    with pytest.raises(Unknown):
        caller(clock)("read", send, repeatable=True)
    assert max(given) <= PATIENCE.answer
    assert sum(clock.waits) <= PATIENCE.whole + 1


def test_nothing_happened_after_a_try_that_may_have_arrived_proves_nothing() -> None:
    with pytest.raises(Unknown):
        caller(Still())("tag", failing(CUT, *[LIMITED] * 9), repeatable=True)
    with pytest.raises(RetryLater) as caught:
        caller(Still())("tag", failing(*[LIMITED] * 9), repeatable=True)
    assert not isinstance(caught.value, Unknown)


def test_a_stop_ends_a_wait_at_once() -> None:
    stop = threading.Event()
    pace = Pace(Patience(tries=5, first_wait=60, longest_wait=60, whole=600), stop=stop)
    send = Caller("vendor", name, {"calls": RatePerSpan((100, 1.0))}, pace=pace)
    threading.Timer(0.1, stop.set).start()
    begin = time.monotonic()
    with pytest.raises(RetryLater):
        send("read", failing(*[LIMITED] * 9), repeatable=True)
    assert time.monotonic() - begin < 5


def test_a_fault_of_our_own_code_is_not_dressed_up_as_the_vendors() -> None:
    with pytest.raises(KeyError):
        caller(Still())("read", failing(KeyError("ours")), repeatable=True)


def test_no_secret_and_no_address_is_in_the_error_or_behind_it() -> None:
    leaky = ProtocolError("dana@acme.example pat-na1-11111111-2222-3333-4444-555555555555 Bearer abcdef")
    told = RecordRefused("vendor", "write", f"{leaky}\n\x1b[31m {'x' * 9000}")
    for error in (leaky, told):
        with pytest.raises(VendorError) as caught:
            caller(Still())("write", failing(error), repeatable=False)
        shown = f"{caught.value} {caught.value.problem} {caught.value.args!r}"
        assert "acme.example" not in shown
        assert "pat-na1" not in shown
        assert "abcdef" not in shown
        assert len(caught.value.problem) <= 500
        assert "\n" not in shown
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None


def test_every_try_is_counted_by_vendor_operation_and_outcome() -> None:
    metrics.reset()
    caller(Still())("read", failing(CUT, LIMITED), repeatable=True)
    assert metrics.VENDOR_CALLS.values() == {
        ("vendor", "read", "unknown"): 1,
        ("vendor", "read", "retry_later"): 1,
        ("vendor", "read", "ok"): 1,
    }


# --- budgets ---------------------------------------------------------------------------------------------------------


def test_no_window_ever_holds_more_calls_than_allowed() -> None:
    clock = Still()
    send = caller(clock, {"calls": RatePerSpan((8, 10.0), (3, 1.0), ticks=clock.ticks)})
    sent = []
    for _ in range(40):
        send("read", lambda _: sent.append(clock.ticks()), repeatable=True)
    for limit, span in ((8, 10.0), (3, 1.0)):
        assert all(later - earlier >= span for earlier, later in zip(sent, sent[limit:], strict=False))


def test_however_long_calls_are_on_their_way_no_window_of_the_vendors_holds_more_than_allowed() -> None:
    """The vendor counts a call at any moment between its leaving and its answer."""
    chance, now = random.Random(5), [0.0]
    rate = RatePerSpan((7, 10.0), ticks=lambda: now[0])
    flying: list[float] = []
    counted: list[float] = []
    while len(counted) < 700:
        if wait := rate.take(0):
            now[0] = min([now[0] + wait, *flying])
        else:
            way = chance.choice((0.01, 0.4, 9.0)) * chance.random()
            counted.append(now[0] + way * chance.random())
            flying.append(now[0] + way)
        for _ in [one for one in flying if one <= now[0]]:
            rate.give_back()
        flying = [one for one in flying if one > now[0]]
    counted.sort()
    assert all(later - earlier >= 10.0 - 1e-9 for earlier, later in zip(counted, counted[7:], strict=False))
    assert counted[-1] / 10.0 < 1.6 * 700 / 7  # answers that take up to 9 s are what is lost


def test_the_budget_is_used_nearly_in_full_while_there_is_a_backlog() -> None:
    clock = Still()
    send = caller(clock, {"calls": RatePerSpan((80, 10.0), ticks=clock.ticks)})
    sent: list[float] = []
    for _ in range(800):
        send("read", lambda _: sent.append(clock.ticks()), repeatable=True)
    steady = [at for at in sent if at > sent[0] + 10]
    assert len(steady) / (sent[-1] - sent[0] - 10) >= 0.95 * 8


def test_a_few_calls_leave_at_once_and_a_backlog_is_spread_over_its_windows() -> None:
    clock = Still()
    send = caller(clock, {"calls": RatePerSpan((80, 10.0), ticks=clock.ticks)})
    sent: list[float] = []
    for _ in range(400):
        send("read", lambda _: sent.append(clock.ticks()), repeatable=True)
    sent = [at - sent[0] for at in sent]
    assert sent[39] < 0.5
    assert sent[40] - sent[39] >= 0.1
    seconds = Counter(int(at) for at in sent if 10 < at < int(sent[-1]))
    assert max(seconds.values()) <= 11  # of 80 in ten seconds
    assert len(seconds) >= 0.8 * (int(sent[-1]) - 10)  # in which there were some


def test_a_limit_is_shared_by_what_is_to_be_done_however_many_threads_do_it() -> None:
    """A listing, page after page, beside ten readers of something else."""
    send = Caller("vendor", name, {"calls": RatePerSpan((10, 0.2))}, pace=Pace(PATIENCE))
    made: list[str] = []

    def go_on(operation: str) -> None:
        while made.count("list") < 40:
            send(operation, lambda _: made.append(operation), repeatable=True)

    threads = [threading.Thread(target=go_on, args=(what,)) for what in ("list", *["read"] * 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    places = [place for place, what in enumerate(made) if what == "list"]
    # One in eleven, if every thread got as much. The median: a thread may be paused, and the others go on.
    assert statistics.median(after - before for before, after in pairwise(places)) < 4


def test_who_waits_for_a_call_in_vain_lets_the_others_of_the_row_go_on() -> None:
    send = Caller("vendor", name, {"calls": Simultaneous(1)}, pace=Pace(PATIENCE))
    busy, go = threading.Event(), threading.Event()

    def hold(_: float) -> None:
        busy.set()
        go.wait(LONG)

    holder = threading.Thread(target=lambda: send("write", hold, repeatable=True))
    holder.start()
    busy.wait(LONG)
    told: list[str] = []
    impatient = [threading.Thread(target=lambda: told.append(_told(send))) for _ in range(3)]
    for thread in impatient:
        thread.start()
    for thread in impatient:
        thread.join()
    go.set()
    holder.join()
    assert told == ["no room in the budget of calls"] * 3
    assert send("read", failing(), repeatable=True) == "done"


def _told(send: Caller) -> str:
    with pytest.raises(RetryLater) as caught:
        send("read", failing(), repeatable=True, begin_by=time.monotonic() + 0.1)
    return caught.value.problem


def test_a_call_that_costs_two_budgets_waits_for_both() -> None:
    clock = Still()
    own = OwnBudgets(clock.ticks)
    send = caller(clock, {"calls": own.rate("calls", 100, 10.0), "searches": own.rate("searches", 0.5, 1.0)})
    begin = clock.ticks()
    for _ in range(3):
        send("search", lambda _: None, repeatable=True, spend=("calls", "searches"))
    assert clock.ticks() - begin >= 4.0
    send("read", lambda _: None, repeatable=True)  # does not wait for the searches
    assert clock.ticks() - begin < 6.0


def test_no_more_calls_than_places_are_in_flight() -> None:
    send = Caller("vendor", name, {"calls": Simultaneous(3)}, pace=Pace(PATIENCE))
    lock, flying, most = threading.Lock(), 0, 0
    three = threading.Barrier(3)

    def call(_: float) -> None:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        three.wait(LONG)
        time.sleep(0.02)  # for a fourth, if there were one
        with lock:
            flying -= 1

    threads = [threading.Thread(target=lambda: send("read", call, repeatable=True)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3


def test_a_failed_call_gives_its_place_back() -> None:
    send = Caller("vendor", name, {"calls": Simultaneous(1)}, pace=Pace(PATIENCE))
    for _ in range(3):
        with pytest.raises(RecordRefused):
            send("write", failing(RecordRefused("vendor", "write", "no")), repeatable=True)
    assert send("write", failing(), repeatable=True) == "done"


def test_a_quota_slows_down_stops_and_looks_again_now_and_then() -> None:
    now, usage = [0.0], Usage()
    quota = Quota(usage, 0.8, ticks=lambda: now[0])
    assert [quota.take(0) for _ in range(3)] == [0.0, 0.0, 0.0]
    usage.share = 0.75
    assert [quota.take(0) for _ in range(2)] == [0.0, 1.0]
    now[0] = 1.0
    usage.share = 0.85
    assert [quota.take(0) for _ in range(2)] == [0.0, 300.0]
    now[0], usage.share = 400.0, 0.1
    assert quota.take(0) == 0.0


# --- breaker ---------------------------------------------------------------------------------------------------------


def test_a_silent_vendor_is_left_alone_and_then_probed_by_one() -> None:
    clock = Still()
    breaker = Breaker(limit=2, rest=30, ticks=clock.ticks)
    send = caller(clock, breaker=breaker)
    sent: list[float] = []

    def dead(seconds: float) -> str:
        sent.append(seconds)
        raise CUT

    for _ in range(2):
        with pytest.raises(Unknown):
            send("write", dead, repeatable=False)
    with pytest.raises(RetryLater) as caught:
        send("write", dead, repeatable=False)
    assert not isinstance(caught.value, Unknown)  # never sent, so nothing happened
    assert len(sent) == 2
    clock.sleep(caught.value.after or 0)
    assert breaker.gate() == 0.0  # the probe
    assert breaker.gate() > 0.0  # nobody else
    breaker.heard(alive=True)
    assert send("write", failing(), repeatable=False) == "done"


def test_refusals_and_limits_are_signs_of_life() -> None:
    clock = Still()
    send = caller(clock, breaker=Breaker(limit=1, rest=30, ticks=clock.ticks))
    for error in (RecordRefused("vendor", "write", "no", status=400), NeedsOperator("vendor", "w", "key", status=401)):
        with pytest.raises(VendorError):
            send("write", failing(error), repeatable=True)
    assert send("write", failing(), repeatable=True) == "done"


# --- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "12"}, 12.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),  # long ago
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "1e99"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_every_spelling(headers: dict[str, str] | None, seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_masked_text_is_one_line_of_bounded_length() -> None:
    assert masked("a\n b\t c") == "a b c"
    assert len(masked("y" * 10_000)) == 500


@contextmanager
def raw_server(*parts: bytes, pause: float = 0.0) -> Iterator[str]:
    """Answers one connection with these parts, and a pause before each but the first."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                for n, part in enumerate(parts):
                    time.sleep(pause if n else 0)
                    connection.sendall(part)
        except OSError:
            pass  # the client went away, which is what the test wants

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        thread.join()


def fetch(url: str, seconds: float) -> bytes:
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", url, preload_content=False, retries=False, timeout=seconds)
        return read_within(response, seconds)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"


def test_an_answer_that_drips_in_is_given_up_at_the_deadline() -> None:
    begin = time.monotonic()
    with raw_server(HEAD, *[b"x"] * 20, pause=0.1) as url, pytest.raises(TooSlow):
        fetch(url, 0.3)
    assert time.monotonic() - begin < 3


def test_a_body_cut_short_is_not_taken_for_whole() -> None:
    with raw_server(HEAD, b"half of it") as url, pytest.raises(ProtocolError):
        fetch(url, 5)


def test_a_whole_body_is_read() -> None:
    with raw_server(HEAD + b"0123456789", b"abcdefghij", pause=0.05) as url:
        assert fetch(url, 5) == b"0123456789abcdefghij"
