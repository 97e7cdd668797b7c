"""Letting leadbridge into an account: somebody consents on the vendor's page, which leads back with a code.

The code comes to an address of this machine, or is pasted. It counts only with the state that was given along: whoever
sends another person's code here would otherwise connect that person's account. What is granted is stored, sealed,
before it is used (reliability pattern 15).
"""

import hmac
import secrets
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

from connectors import registry
from connectors.consent import Consent
from leadbridge.errors import LeadbridgeError
from sync import accounts
from sync.grants import StoredGrants
from sync.wiring import Parts

PATH = "/leadbridge"

LONGEST = 8192
"""Characters of an address that leads back."""


class ConnectError(LeadbridgeError):
    """Nobody was let in."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One asking for consent."""

    vendor: str
    consent: Consent
    redirect: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def address(self) -> str:
        """The page to open."""
        return self.consent.address(self.redirect, self.state)

    def code_in(self, address: str) -> str | None:
        """The code of an address the page led back to; None when it does not answer this asking.

        Raises ConnectError when it does, and says no.
        """
        given = parse_qs(urlsplit(address[:LONGEST]).query)
        state, code = given.get("state", [""])[0], given.get("code", [""])[0]
        if not hmac.compare_digest(state.encode(), self.state.encode()):
            return None
        if "error" in given:
            why = given["error"][0] if given["error"][0].isidentifier() else "no reason told"
            raise ConnectError(f"{self.vendor}: whoever was asked did not let leadbridge in ({why})")
        return code or None


def ask(parts: Parts, vendor: str, redirect: str | None, port: int) -> Asked:
    """Begin. `redirect`: where the page leads back to; None: this machine. Raises ConfigError when no app is named."""
    consent = registry.consent(vendor, parts.config)
    return Asked(vendor, consent, redirect or f"http://{consent.redirect_host}:{port}{PATH}")


def finish(parts: Parts, asked: Asked, code: str) -> str:
    """Exchange the code, store what is granted, then use it: the account it is for. Raises VendorError."""
    found = asked.consent.exchange(code, asked.redirect)
    StoredGrants(parts.store, parts.owner, parts.stop.wait).begin(asked.vendor, asked.consent.first, found)
    rooms = [room for room in parts.rooms if room.vendor == asked.vendor]
    accounts.confirm(parts.store, rooms)
    return rooms[0].account()


def wait_for(asked: Asked, server: HTTPServer, seconds: float) -> str:
    """The code that somebody's browser brings to `server`. Raises ConnectError when none comes in time, or a no."""
    found: list[str | ConnectError] = []

    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # of one request: whoever says nothing holds up nobody for long

        def do_GET(self) -> None:
            status, words = 400, "This is not the answer leadbridge waits for."
            if urlsplit(self.path).path == urlsplit(asked.redirect).path and not found:
                try:
                    code = asked.code_in(self.path)
                except ConnectError as error:
                    found.append(error)
                    status, words = 200, "leadbridge was not let in. You can close this page."
                else:
                    if code is not None:
                        found.append(code)
                        status, words = 200, "leadbridge has the answer. You can close this page."
            body = words.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the address holds the code."""

    server.RequestHandlerClass = Handler
    end = time.monotonic() + seconds
    while not found:
        server.timeout = end - time.monotonic()
        if server.timeout <= 0:
            raise ConnectError(f"{asked.vendor}: nobody answered within {seconds:.0f} seconds; begin anew")
        server.handle_request()
    if isinstance(found[0], ConnectError):
        raise found[0]
    return found[0]


def listen(asked: Asked) -> HTTPServer:
    """Listen where the page will lead to, on this machine only. Raises ConnectError when that place is taken."""
    port = urlsplit(asked.redirect).port or 80
    try:
        return HTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler)
    except OSError as error:
        raise ConnectError(f"cannot listen on 127.0.0.1:{port} ({error.strerror}); choose another --port") from None
