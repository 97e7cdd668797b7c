"""A server handle around waitress: strict framing, bounded memory, patience that ends, a clean stop.

waitress reads requests in one thread and hands only complete ones to the others, so a slow sender holds a connection,
never a thread. What it lacks is added here by its own hooks: a limit on the time one request may take to arrive, and
refusals in our words (reliability G6, G7).
"""

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest

from leadbridge import logs
from leadbridge.metrics import WEBHOOK_REFUSED
from webhooks.app import running
from webhooks.base import MAX_BODY
from webhooks.held import Later
from webhooks.writer import Keeping, Writer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logs.logger(__name__)

THREADS = 2
"""Deliveries read at once. None of them waits for its commit in a thread, and only one thread computes at a time: more
would keep each other, and the writer, from their turn; with 32 a delivery took a quarter more processor time."""

PAGES = 4
"""Pages answered at once, beside the deliveries: health and figures ask the store, and one that hangs must not hold up
the doors."""

MAX_HEADERS = 16_384
CONNECTIONS = 500
IN_MEMORY = 65_536  # bytes of one request kept in memory; the rest waits in an unlinked temporary file
FRAMING = 65_536  # bytes that chunked framing may add to a body; the body itself is measured by the receivers
LONGEST_CHUNK_LINE = 4096
IDLE = 30
"""Seconds a connection may be silent."""

SLOWEST = 15.0
"""Seconds a request may take to arrive, from its first byte to its last (reliability fault 14)."""

_REFUSALS = {  # waitress's code: our answer. A coding we do not speak is the sender's fault, so no 501 (G7).
    400: ("400 Bad Request", "bad_request"),
    413: ("413 Content Too Large", "too_large"),
    431: ("431 Request Header Fields Too Large", "headers_too_large"),
    501: ("400 Bad Request", "bad_request"),
}


_SAID = "leadbridge.said"


class _Parser(HTTPRequestParser):
    """Refuses what different servers read differently, so that no request can hide inside another."""

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("both a length and chunks")
        if "TRANSFER_ENCODING" in self.headers:  # waitress takes it out where it understood it
            raise ParsingError("chunks in HTTP/1.0")

    def received(self, data: bytes) -> int:
        consumed = super().received(data)
        body = self.body_rcv
        if isinstance(body, ChunkedReceiver) and len(body.control_line) + len(body.trailer) > LONGEST_CHUNK_LINE:
            self.error = BadRequest("chunk line too long")
            self.completed = True
        return consumed


class _Refusal(ErrorTask):
    """waitress's own refusals as our JSON, counted like ours."""

    def execute(self) -> None:
        code = self.request.error.code  # type: ignore[attr-defined]
        self.status, reason = _REFUSALS.get(code, ("503 Service Unavailable", "internal"))
        WEBHOOK_REFUSED.add(vendor="door", reason=reason)
        body = json.dumps({"error": reason}).encode()
        self.response_headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Task(WSGITask):
    """A request that may be answered in two steps: `begin` asks the application, `service` sends what it said.

    An answer without a body leaves the connection open, as HTTP/1.1 has it; waitress would close after each.
    """

    def begin(self, app: "WSGIApplication") -> Keeping | None:
        """Ask the application. What its answer waits for, if it is to wait for a commit."""
        environ = self.get_environment()
        heard: list[Any] = []
        try:
            found = app(environ, lambda *words: heard.append(words))  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - waitress answers it, as if asked by itself
            environ[_SAID] = partial(_raise, error)
            return None
        environ[_SAID] = found.held.leave if isinstance(found, Later) else partial(_repeat, heard, found)
        return found.held.keeping if isinstance(found, Later) else None

    def build_response_header(self) -> bytes:
        asked = self.request.headers.get("CONNECTION", "").lower()  # type: ignore[attr-defined]
        stays = self.version == "1.1" and not self.has_body and not self.close_on_finish and asked != "close"
        header: bytes = super().build_response_header()
        if stays:
            self.close_on_finish = False
            header = header.replace(b"\r\nConnection: close\r\n", b"\r\n", 1)
        return header


def _said(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """The application as waitress knows it: what was said when a request was begun."""
    answer: Iterable[bytes] = environ[_SAID](environ, start_response)
    return answer


def _raise(error: Exception, *_asked: Any) -> Iterable[bytes]:
    raise error


def _repeat(
    heard: list[Any], answer: Iterable[bytes], _environ: object, start_response: "StartResponse"
) -> Iterable[bytes]:
    for words in heard:
        start_response(*words)
    return answer


class _Channel(HTTPChannel):
    """One connection. Notes when the request that is arriving began."""

    parser_class = _Parser
    error_task_class = _Refusal
    arriving_since: float | None = None  # monotonic
    begun: _Task

    def task_class(self, *_of: object) -> _Task:  # type: ignore[override]
        return self.begun

    def service(self) -> None:
        """Answer a request. Where the answer waits for a commit, this thread is free, and another will answer."""
        request = self.requests[0]
        if request.error is None:
            self.begun = _Task(self, request)  # type: ignore[arg-type] # as waitress itself calls it
            keeping = self.begun.begin(self.server.app) if self.connected else None  # type: ignore[attr-defined]
            self.server.writer.came(self)  # type: ignore[attr-defined]
            if keeping is not None:
                keeping.when_known(lambda: self.server.answers.add(self))  # type: ignore[attr-defined]
                return
        super().service()

    def answer(self) -> None:
        """Send what the commit was waited for."""
        super().service()

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.arriving_since = time.monotonic()
        taken = super().received(data)
        if self.request is None:
            self.arriving_since = None
        return taken


class _Answers:
    """Sends the answers that a commit made ready, one after the other: a task like that of a request."""

    def __init__(self, listener: "_Listener") -> None:
        self._listener = listener
        self._ready: deque[_Channel] = deque()
        self._called = False
        self._threads: set[int] = set()

    def add(self, channel: _Channel) -> None:
        """Have this channel's answer sent soon, by a thread of the dispatcher."""
        self._ready.append(channel)
        if not self._called:
            self._called = True
            self._listener.task_dispatcher.add_task(self)  # type: ignore[arg-type] # it has what is asked of one

    def at_work(self) -> bool:
        """Is this thread just sending them?"""
        return threading.get_ident() in self._threads

    def service(self) -> None:
        self._called = False
        self._threads.add(threading.get_ident())
        try:
            while self._ready:
                with suppress(IndexError):  # another thread took the last
                    self._ready.popleft().answer()
        finally:
            self._threads.discard(threading.get_ident())
            self._listener.pull_trigger()

    def cancel(self) -> None:
        """The server ends, and with it the connections."""


class _Listener(TcpWSGIServer):
    channel_class = _Channel
    slowest = SLOWEST
    app: "WSGIApplication"
    writer: Writer

    pages: ThreadedTaskDispatcher

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.answers = _Answers(self)

    def add_task(self, task: Any) -> None:
        request = task.requests[0]
        if request.error is not None or request.command != "POST":
            self.pages.add_task(task)
            return
        self.writer.expect(task)
        super().add_task(task)

    def pull_trigger(self) -> None:
        if not self.answers.at_work():  # which wakes the serving thread once, when it has sent all
            super().pull_trigger()

    def maintenance(self, now: int) -> None:
        super().maintenance(now)
        begun_before = time.monotonic() - self.slowest
        for channel in list(self.active_channels.values()):  # type: ignore[attr-defined]
            if channel.arriving_since is not None and channel.arriving_since < begun_before and not channel.requests:
                channel.will_close = True


class Server:
    """A bound, not yet serving web server. `url` is known at once, also with port 0."""

    def __init__(self, app: Flask, listening: socket.socket, threads: int, slowest: float) -> None:
        self._app = app
        self._writer = running(app).writer
        self._socket = listening
        self.host: str
        self.port: int
        self.host, self.port = listening.getsockname()[:2]
        self._map: dict[int, Any] = {}
        self._dispatcher, self._pages = ThreadedTaskDispatcher(), ThreadedTaskDispatcher()
        self._dispatcher.set_thread_count(threads)
        self._pages.set_thread_count(PAGES)
        settings = Adjustments(
            sockets=[self._socket],
            threads=threads,
            max_request_body_size=MAX_BODY + FRAMING,
            max_request_header_size=MAX_HEADERS,
            inbuf_overflow=IN_MEMORY,
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE,
            cleanup_interval=1,
            asyncore_use_poll=True,  # select cannot look at more than 1024 files
            ident=None,  # which server we are is nobody's business
            log_socket_errors=False,
            clear_untrusted_proxy_headers=True,  # no forwarded header counts (G4)
        )
        name = self._socket.getsockname()
        self._listener = _Listener(
            _said,
            self._map,
            _start=False,
            _sock=self._socket,
            dispatcher=self._dispatcher,
            adj=settings,
            sockinfo=(self._socket.family, self._socket.type, self._socket.proto, name),
            bind_socket=False,
        )
        self._listener.app = app.wsgi_app
        self._listener.writer = self._writer
        self._listener.pages = self._pages
        self._listener.slowest = slowest
        self._thread: threading.Thread | None = None
        self._serving: int | None = None  # identity of the thread that serves
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._deadline = 0.0

    @property
    def url(self) -> str:
        """`http://host:port`, the address it listens on."""
        return readable(self.host, self.port)

    def start(self) -> "Server":
        """Serve from a background thread."""
        self._thread = threading.Thread(target=self.run, name="web", daemon=True)
        self._thread.start()
        return self

    def run(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Serve in this thread until `stop` is called, from a signal handler or another thread, or until `wanted`,
        which is asked about once a second, says no."""
        self._serving = threading.get_ident()
        self._listener.accept_connections()
        try:
            while not self._stopping.is_set():
                if not wanted():
                    self.stop()
                self._turn(0.5)
            self._drain()
        finally:
            self._close()

    def stop(self, timeout: float = 10.0) -> None:
        """Stop listening, answer what has arrived, commit what was taken in, end every thread. Repeatable."""
        if not self._stopping.is_set():
            self._deadline = time.monotonic() + timeout
            self._stopping.set()
            if self._serving is None and self._thread is None:
                self._close()
            else:
                with suppress(OSError):  # it has seen the flag already, and ended
                    self._listener.pull_trigger()
        if self._serving != threading.get_ident():
            self._ended.wait(timeout + 5)

    def _drain(self) -> None:
        """Answer the requests that are here. Runs in the serving thread, the only one to touch the map."""
        self._listener.accepting = False
        self._listener.del_channel(self._map)
        self._socket.close()
        while time.monotonic() < self._deadline and any(self._busy()):
            self._turn(0.05)

    def _turn(self, seconds: float) -> None:
        wasyncore.poll2(seconds, self._map)
        self._writer.expire()

    def _busy(self) -> list[bool]:
        channels = self._listener.active_channels.values()  # type: ignore[attr-defined]
        return [bool(channel.requests or channel.total_outbufs_len) for channel in channels]

    def _close(self) -> None:
        self._pages.shutdown(timeout=2)
        self._dispatcher.shutdown(timeout=2)
        self._socket.close()
        wasyncore.close_all(self._map, ignore_all=True)
        running(self._app).stop()
        self._ended.set()


def serve(
    app: Flask, host: str = "127.0.0.1", port: int = 8080, *, threads: int = THREADS, slowest: float = SLOWEST
) -> Server:
    """Bind `host:port` (port 0: any free one) and return the handle; nothing is served before `start` or `run`.

    `slowest`: seconds a request may take to arrive. Raises OSError when the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Server(app, socket.create_server((host, port), family=family, backlog=1024), threads, slowest)


def over(app: Flask, listening: socket.socket) -> Server:
    """The same over a socket that is bound already, and perhaps shared with other processes."""
    return Server(app, listening, THREADS, SLOWEST)


def readable(host: str, port: int) -> str:
    """The address a server that listens there is reached at from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a name, not a binding
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


__all__ = ["Server", "over", "readable", "serve"]
