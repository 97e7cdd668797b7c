"""What a stranger may cost us: size, packing, framing, patience (reliability G6, G7; faults 9 and 14)."""

import base64
import gzip
import http.client
import json
import re
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from leadbridge.metrics import WEBHOOK_REFUSED
from tests.helpers.signers import hubspot_body, hubspot_change, hubspot_headers
from tests.helpers.tally import Tally
from tests.helpers.waiting import quickest
from tests.webhooks.conftest import HUBSPOT_SECRET, MAILCHIMP_PATH, PUBLIC, Door, OpenDoor, on_sqlite, settings
from webhooks.base import MAX_BODY
from webhooks.serve import MAX_HEADERS

pytestmark = on_sqlite

BODY = hubspot_body(hubspot_change(1))
DOOR = "/webhooks/hubspot"


@contextmanager
def wire(door: Door) -> Iterator[socket.socket]:
    parts = urlsplit(door.server.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as made:
        yield made


def said(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    answer = b""
    try:
        while part := connection.recv(65536):
            answer += part
    except ConnectionError:
        pass
    return answer


def send(door: Door, raw: bytes) -> tuple[int, bytes]:
    """Status and body of the last answer to these bytes."""
    with wire(door) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # refused before all of it was sent
            pass
        answer = said(connection)
    head, _, body = answer.rpartition(b"\r\n\r\n") if answer.count(b"HTTP/1.") == 1 else answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def request(headers: str, body: bytes = b"", *, line: str = f"POST {DOOR} HTTP/1.1") -> bytes:
    return f"{line}\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode("latin-1") + body


def signed(body: bytes = BODY) -> str:
    given = hubspot_headers(HUBSPOT_SECRET, PUBLIC + DOOR, body, int(time.time() * 1000))
    return "".join(f"{name}: {value}\r\n" for name, value in given.items())


def chunks(body: bytes, size: int = 1000) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_body_announced_as_too_large_is_refused_unread(door: Door) -> None:
    for length in (MAX_BODY + 100_000, 10**12, 10**30):
        status, body = send(door, request(f"Content-Length: {length}\r\n"))
        assert (status, json.loads(body)) == (413, {"error": "too_large"})
    assert door.count() == 0


def test_a_body_a_little_too_large_is_refused_even_when_genuine(door: Door) -> None:
    for size, status in ((MAX_BODY, 204), (MAX_BODY + 1, 413)):
        body = b"[" + b" " * (size - 2) + b"]"
        assert door.hubspot(body).status == status


def test_a_chunked_delivery_counts_like_any_other(door: Door) -> None:
    assert send(door, request(signed() + "Transfer-Encoding: chunked\r\n", chunks(BODY, 7)))[0] == 204
    assert door.bodies() == json.loads(BODY)


def test_chunks_without_end_are_cut_off(door: Door) -> None:
    status, body = send(door, request("Transfer-Encoding: chunked\r\n", chunks(b"x" * (MAX_BODY + 200_000), 60_000)))
    assert (status, json.loads(body)) == (413, {"error": "too_large"})


def test_a_chunk_line_without_end_is_cut_off(door: Door) -> None:
    for junk in (b"5;" + b"x" * 20_000, b"0\r\n" + b"Trailer: x\r\n" * 2000):
        assert send(door, request("Transfer-Encoding: chunked\r\n", junk))[0] == 400


def test_a_packed_body_is_refused_unpacked_by_nobody(door: Door) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    for coding in ("gzip", "deflate", "br", "identity, gzip", "GZIP"):
        head = signed(bomb) + f"Content-Encoding: {coding}\r\nContent-Length: {len(bomb)}\r\n"
        status, body = send(door, request(head, bomb))
        assert (status, json.loads(body)) == (415, {"error": "packed"}), coding
    assert (
        send(door, request(signed() + f"Content-Encoding: identity\r\nContent-Length: {len(BODY)}\r\n", BODY))[0] == 204
    )


FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
KEY = base64.b64encode(b"canary-write-key-0123456789:").decode()
SALESFORCE = {"domain": "acme.my", "client_id": "c", "client_secret": "s", "webhook_secret": "w" * 22}
SALESFORCE |= {"outbound_secret": "o" * 32}
EVERY_DOOR = {
    DOOR: "application/json",
    "/webhooks/salesforce": "application/json",
    f"/webhooks/salesforce/outbound/{'o' * 32}": "text/xml",
    f"/webhooks/mailchimp/{MAILCHIMP_PATH}": FORM,
    "/v1/batch": "application/json",
    "/v1/track": "application/json",
}


def test_every_door_has_its_limits_however_a_body_is_framed_or_packed(open_door: OpenDoor) -> None:
    """A body a little too large and one far too large, with its length and in chunks; bombs; parts of a form."""
    connections = settings()["connections"] | {"salesforce": SALESFORCE}
    door = open_door(connections=connections, intake={"write_key": "canary-write-key-0123456789"})
    bomb = gzip.compress(b"[" * 30_000_000, 9)
    parts = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" + b"x" * (MAX_BODY + 1) + b"\r\n--b--\r\n"
    for path, kind in EVERY_DOOR.items():
        given, line = f"Content-Type: {kind}\r\nAuthorization: Basic {KEY}\r\n", f"POST {path} HTTP/1.1"
        for size in (MAX_BODY + 1, 3 * MAX_BODY):
            body = b"x" * size
            told = [
                send(door, request(f"{given}Content-Length: {size}\r\n", body, line=line))[0],
                send(door, request(f"{given}Transfer-Encoding: chunked\r\n", chunks(body, 65536), line=line))[0],
            ]
            assert told == [413, 413], (path, size)
        packed = f"{given}Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n"
        assert send(door, request(packed, bomb, line=line))[0] in (400, 415), path
        form = f"Content-Type: {MULTIPART}\r\nAuthorization: Basic {KEY}\r\nTransfer-Encoding: chunked\r\n"
        assert send(door, request(form, chunks(parts, 65536), line=line))[0] == 413, path
    assert (door.count(), door.quarantined()) == (0, [])


def test_what_a_stranger_sends_costs_a_few_megabytes_however_it_is_folded(door: Door) -> None:
    """Whether a refused body looks like a delivery is told by reading it, which takes many times its size."""
    folded = (b"[]", b"{}", b'{"a":[]}', b'"a"', b"1.5", b'{"eventId":1.5}')
    for part in folded:
        body = b"[" + b",".join([part] * (990_000 // (len(part) + 1))) + b"]"
        tracemalloc.start()
        try:
            assert door.hubspot(body, secret="guessed").status == 401
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 6_000_000, part
    assert door.hubspot(BODY, secret="guessed").status == 401
    assert door.count() == 0


def test_headers_without_end_are_refused(door: Door) -> None:
    for headers in (f"X-Long: {'x' * MAX_HEADERS}\r\n", "X: y\r\n" * MAX_HEADERS):
        status, body = send(door, request(headers))
        assert (status, json.loads(body)) == (431, {"error": "headers_too_large"})


@pytest.mark.parametrize(
    "raw",
    [
        request(f"Content-Length: {len(BODY)}\r\nTransfer-Encoding: chunked\r\n", chunks(BODY)),
        request("Transfer-Encoding: chunked\r\n", chunks(BODY), line=f"POST {DOOR} HTTP/1.0"),
        request("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunks(BODY)),
        request(f"Content-Length: {len(BODY)}\r\nContent-Length: 0\r\n", BODY),
        request("Content-Length: -5\r\n"),
        request("Content-Length: +5\r\n", b"12345"),
        request("Content-Length: 5_0\r\n", b"12345"),
        request("Transfer-Encoding: xchunked\r\n", chunks(BODY)),
        request("Transfer-Encoding: chunked\r\n", b"zz\r\nhello\r\n0\r\n\r\n"),
        request("Transfer-Encoding: chunked\r\n", b"-5\r\nhello\r\n0\r\n\r\n"),
        request("Content-Length : 5\r\n", b"12345"),
        request("Bad Name: x\r\n"),
        request("X: a\nY: b\r\n"),
        b"GARBAGE\r\n\r\n",
        b"post /webhooks/hubspot HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # a TLS greeting
    ],
)
def test_framing_that_servers_read_differently_is_refused(door: Door, raw: bytes) -> None:
    status, _ = send(door, raw)
    assert status == 400
    assert door.count() == 0


def test_a_whole_address_as_target_proves_nothing(door: Door) -> None:
    line = f"POST {PUBLIC}{DOOR} HTTP/1.1"
    status, body = send(door, request(signed() + f"Content-Length: {len(BODY)}\r\n", BODY, line=line))
    assert (status, json.loads(body)) == (400, {"error": "bad_target"})


def test_a_body_cut_short_is_not_taken_for_a_delivery(door: Door) -> None:
    with wire(door) as connection:
        connection.sendall(request(signed() + f"Content-Length: {len(BODY) + 10}\r\n", BODY))
    time.sleep(0.05)
    assert door.count() == 0


@hypothesis_settings(max_examples=60)
@given(st.binary(max_size=200) | st.text(alphabet="GETPOS /:?#%[]\\\r\n\thttp1.", max_size=120).map(str.encode))
def test_no_bytes_bring_the_server_down_or_to_a_5xx(door: Door, junk: bytes) -> None:
    with wire(door) as connection:
        connection.sendall(junk + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        answer = said(connection)
    assert re.fullmatch(rb"(HTTP/1\.[01] [1234]\d\d .*)?", answer, re.DOTALL)
    assert b"HTTP/1.1 5" not in answer
    assert door.ask("GET", "/readyz").status == 200


@pytest.mark.parametrize(
    "target", ["/webhooks/hubspot?%ff", "/%", "/%zz", "/a%00b", "/\\..\\x", "/?" + "a=b&" * 2000, "/..;/"]
)
def test_odd_targets_are_4xx(door: Door, target: str) -> None:
    status, body = send(door, request("", line=f"GET {target} HTTP/1.1"))
    assert 400 <= status < 500 or target.startswith("/?")
    assert target.encode() not in body


def test_slow_senders_hold_up_nobody_and_are_let_go(open_door: OpenDoor, tally: Tally) -> None:
    door = open_door(slowest=0.8)
    slow = []
    try:
        for number in range(200):
            made = socket.create_connection(("127.0.0.1", door.server.port), timeout=10)
            slow.append(made)
            made.sendall(b"POST " if number % 2 else request("Content-Length: 500000\r\n", b"x" * 100))
        others: list[int] = []

        def deliver() -> None:
            for _ in range(5):
                others.append(door.hubspot(hubspot_body(hubspot_change(len(others)))).status)

        took = quickest(deliver, within=2)
        assert took < 2
        tally(14, trials=len(slow), lost=len(others) - others.count(204), recover=[took])
        stop = threading.Event()

        def drip() -> None:  # activity alone keeps no one: it is the whole request that must arrive in time
            while not stop.wait(0.1):
                for made in slow:
                    try:
                        made.send(b"x")
                    except OSError:
                        return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            for made in slow[:20]:
                made.settimeout(6)
                assert said(made) in (b"", b"HTTP/1.1 100 Continue\r\n\r\n")
        finally:
            stop.set()
            dripping.join()
    finally:
        for made in slow:
            made.close()
    assert door.ask("GET", "/readyz").status == 200


def test_refusals_of_the_server_itself_are_counted_and_tell_nothing(door: Door) -> None:
    with wire(door) as connection:
        connection.sendall(request("Content-Length: 99999999\r\n"))
        answer = said(connection)
    assert b"waitress" not in answer.lower()
    assert b"Server:" not in answer
    assert WEBHOOK_REFUSED.value(vendor="door", reason="too_large") == 1


def test_every_answer_has_the_security_headers(door: Door) -> None:
    for method, target in (("GET", "/"), ("GET", "/healthz"), ("GET", "/none"), ("PUT", DOOR), ("POST", DOOR)):
        headers = door.ask(method, target).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
    assert door.ask("PUT", DOOR).headers["Allow"] == "POST"
    assert door.ask("OPTIONS", DOOR).status == 405


def test_nothing_answers_410_and_errors_echo_no_input(door: Door) -> None:
    probe = "canary-input"
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        for target in (f"/{probe}", f"/webhooks/{probe}", f"/webhooks/mailchimp/{MAILCHIMP_PATH}", f"{DOOR}?{probe}"):
            answer = door.ask(method, target, b'["canary-input"]', {"X-HubSpot-Signature-v3": probe})
            assert answer.status in (200, 400, 401, 404, 405), (method, target)
            assert probe.encode() not in answer.body
            assert probe not in str(answer.headers)


def test_a_server_that_hides_the_target_is_a_fault_of_ours(door: Door) -> None:
    app = door.server._app.test_client()
    hidden = {"RAW_URI": "", "REQUEST_URI": ""}
    answer = app.post(DOOR, data=BODY, environ_overrides=hidden)
    assert (answer.status_code, answer.json) == (503, {"error": "no_raw_target"})
    assert answer.headers["Retry-After"]


def test_stopping_answers_what_has_arrived(open_door: OpenDoor) -> None:
    door = open_door()
    answers: list[int] = []

    def deliver(number: int) -> None:
        with suppress(OSError, http.client.HTTPException):  # turned away, so nothing was promised
            answers.append(door.hubspot(hubspot_body(hubspot_change(number))).status)

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    while len(answers) < 2:
        time.sleep(0.001)
    door.server.stop()
    for thread in threads:
        thread.join()
    assert answers.count(204) == door.count()
    with pytest.raises(OSError):
        door.ask("GET", "/readyz")
