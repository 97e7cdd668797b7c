"""A chat, or whatever takes alerts over HTTP: it keeps what it is told, and can refuse."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What was told, oldest first, and how it answers."""

    url: str = ""
    told: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def titles(self) -> list[str]:
        return [str(one["title"]) for one in self.told]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a port of its own on this machine."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if found.status < 300:
                found.told.append(json.loads(body))
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
    found.url = f"json://127.0.0.1:{server.server_port}/hooks/s3cr3t-path-of-a-chat"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
