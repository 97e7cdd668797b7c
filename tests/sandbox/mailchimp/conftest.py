"""One Mailchimp stand-in per test, over real HTTP, and three ways to look at it."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import mailchimp_marketing
import pytest
import requests
from werkzeug.serving import WSGIRequestHandler, make_server

from leadbridge.sandbox.mailchimp import Mailchimp
from leadbridge.sandbox.world import Effect, World

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LIST = "a36b032126"


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        pass


def hashed(email: str) -> str:
    return hashlib.md5(email.strip().lower().encode()).hexdigest()


@dataclass
class Api:
    """A client that knows nothing of Mailchimp but HTTP."""

    root: str
    key: str

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        options.setdefault("auth", ("anyone", self.key))
        return requests.request(method, self.root + path, json=body, timeout=10, **options)

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The JSON of a 2xx answer, None for an empty one."""
        answer = self(method, path, body, **options)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
        """The problem document of a refusal."""
        answer = self(method, path, body, **options)
        assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
        problem: dict[str, Any] = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["instance"] == answer.headers["X-Request-Id"]
        return problem

    def members(self, email: str = "") -> str:
        """The path of the audience's contacts, or of one."""
        return f"/lists/{LIST}/members" + (f"/{hashed(email)}" if email else "")


@pytest.fixture
def world() -> World:
    return World(NOW)


@pytest.fixture
def mailchimp(world: World) -> Iterator[Mailchimp]:
    stand_in = Mailchimp(world)
    yield stand_in
    stand_in.close()


@pytest.fixture
def api(mailchimp: Mailchimp) -> Iterator[Api]:
    server = make_server("127.0.0.1", 0, mailchimp.app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    yield Api(f"http://127.0.0.1:{server.server_port}/3.0", mailchimp.api_key)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(api: Api) -> Any:
    """The official client, pointed at the stand-in."""
    official = mailchimp_marketing.Client({"api_key": api.key, "server": "us1"})
    official.api_client.host = api.root
    return official


def effects(world: World, *kinds: str) -> list[Effect]:
    """Everything that really happened, of these kinds."""
    return [effect for call in world.journal for effect in call.effects if not kinds or effect.kind in kinds]


@dataclass
class Receiver:
    """Somebody's webhook address. ``answers`` are given in turn, then 200 for ever."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.probes.append(self.path)
            self._answer()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.posts.append((dict(self.headers.items()), body))
            self._answer()

        def _answer(self) -> None:
            self.send_response(found.answers.pop(0) if found.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/hooks/mailchimp/secret"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()
