"""The sandbox's one web server: every vendor at its own root paths, the control interface below ``/_sandbox``."""

import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from datetime import datetime
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from leadbridge.sandbox.control import Control
from leadbridge.sandbox.faults import ConnectionCut, troubled
from leadbridge.sandbox.hubspot import HubSpot
from leadbridge.sandbox.mailchimp import Mailchimp
from leadbridge.sandbox.salesforce import Salesforce
from leadbridge.sandbox.world import Vendor, World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Sandbox:
    """All stand-ins at one address. A context manager; a stopped sandbox keeps its state but not its address.

    ``now`` freezes the clock at an instant; without it the sandbox lives in real time. ``port`` 0 takes a free one.
    """

    def __init__(
        self, now: datetime | None = None, port: int = 0, *, index_delay: float = 0.0, host: str = "127.0.0.1"
    ) -> None:
        self.world = World(now)
        self.hubspot = HubSpot(self.world, index_delay=index_delay)
        self.mailchimp = Mailchimp(self.world)
        self.salesforce = Salesforce(self.world)
        self._vendors: list[Vendor] = [self.mailchimp, self.salesforce, self.hubspot]
        self._hubspot_app = troubled(self.hubspot, self.world)
        # Whatever is below no other vendor's root is HubSpot's.
        self._apps = (
            (_below(self.mailchimp), troubled(self.mailchimp, self.world, self.mailchimp.in_flight.slot)),
            (_below(self.salesforce), troubled(self.salesforce, self.world)),
        )
        self._control = Control(self.world, self.hubspot, self._vendors)
        self._server = _Server(host, port, self._dispatch, _Handler, now=self.world.clock.now)
        self._thread: threading.Thread | None = None
        self._serving = False
        self.url = f"http://{host}:{self._server.server_port}"

    def _dispatch(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = f"{environ['PATH_INFO']}/"
        if path.startswith("/_sandbox/"):
            return self._control(environ, start_response)
        app = next((app for roots, app in self._apps if path.startswith(roots)), self._hubspot_app)
        return app(environ, start_response)

    def start(self) -> Self:
        """Serve in the background."""
        self._serving = True
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Serve until `stop` is called from another thread, or the process is interrupted."""
        self._serving = True
        self._server.serve_forever(poll_interval=0.005)

    def stop(self) -> None:
        """End deliveries, close the address and every open connection."""
        if self._serving:
            self._server.shutdown()
        if self._thread is not None:
            self._thread.join()
        self._server.hang_up()
        self._server.server_close()
        for vendor in self._vendors:
            vendor.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _below(vendor: Vendor) -> tuple[str, ...]:
    return tuple(f"{root}/" for root in vendor.roots)


class _Server(ThreadedWSGIServer):
    """Keeps count of its connections, so that none outlives it."""

    def __init__(self, *args: Any, now: Callable[[], datetime]) -> None:
        super().__init__(*args)
        self.now = now
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == _RESET_ON_CLOSE:
            self.close_request(request)  # without the goodbye of an orderly end
        else:
            super().shutdown_request(request)

    def hang_up(self) -> None:
        with self._open_lock:
            for request in self._open:
                try:
                    request.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the other side was faster

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        """Clients may go at any time; everything else is a fault of ours and is shown."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc()


class _Handler(WSGIRequestHandler):
    """HTTP/1.1 with connections that are kept.

    Werkzeug's own handler closes every connection and waits 10 ms before it does, which is most of the time a call to
    the sandbox may take. This one reads the whole request first and always answers with a length.
    """

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536  # headers and body leave in one segment

    def run_wsgi(self) -> None:
        if self.headers.get("Expect", "").lower().strip() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        environ = self.make_environ()
        chunked = environ.get("wsgi.input_terminated")
        body = environ["wsgi.input"].read(-1 if chunked else int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        head: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
            head[:] = [(status, headers)]
            return None

        try:
            chunks = self.server.app(environ, start_response)
            data = b"".join(chunks)
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        except ConnectionCut:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.close_connection = True
            return
        except Exception:  # noqa: BLE001 - shown and answered: a silent sandbox helps nobody
            traceback.print_exc()
            head[:], data = [("500 Internal Server Error", [("Content-Type", "text/plain")])], b"sandbox error"
        self._answer(*head[0], data)

    def _answer(self, status: str, headers: list[tuple[str, str]], data: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response_only(int(code), reason)
        self.send_header("Date", self.date_time_string(self.server.now().timestamp()))  # the vendor's clock
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        if code not in ("204", "304"):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD" and code not in ("204", "304"):
            self.wfile.write(data)
        self.wfile.flush()

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Nothing: the journal knows every call."""
