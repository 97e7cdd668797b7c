"""The WSGI face of the stand-in: credentials, limits, scopes, the journal entry of every call."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from uuid import uuid4

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.http import HTTP_STATUS_CODES

from leadbridge.sandbox.hubspot.answers import Refused, Reply
from leadbridge.sandbox.hubspot.call import Account, ApiCall
from leadbridge.sandbox.hubspot.routes import Match, find
from leadbridge.sandbox.hubspot.tokens import Token, need_scopes

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from leadbridge.sandbox.world import World

_JSON = "application/json;charset=utf-8"
_LONGEST_QUERY = 8_000  # a URL beyond this is 414; about 5,100 characters were seen to pass


class App:
    """Answers one call at a time: an account is small, and its state is simplest to trust behind one lock."""

    def __init__(self, world: World, account: Account) -> None:
        self._world = world
        self._account = account

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        reply = self._reply(environ, path, body)
        data = b"" if reply.body is None else _encode(reply.body)
        headers = [("X-HubSpot-Correlation-Id", str(uuid4())), ("Content-Length", str(len(data)))]
        if data:
            headers.append(("Content-Type", _JSON))
        headers.extend(reply.headers.items())
        start_response(f"{reply.status} {HTTP_STATUS_CODES.get(reply.status, 'Unknown')}", headers)
        return [data]

    def _reply(self, environ: WSGIEnvironment, path: str, body: bytes) -> Reply:
        method, now = environ["REQUEST_METHOD"], self._world.clock.now()
        operation, call = "unknown", None
        rates: dict[str, str] = {}
        reply = Reply(500)
        with self._account.store.lock:
            try:
                match = self._match(method, path)
                operation = match.operation
                query = _query(environ.get("QUERY_STRING", ""))
                if not match.route.public:
                    token, rates = self._admit(environ, match)
                    need_scopes(token, match.scopes())
                base = f"http://{environ.get('HTTP_HOST', '')}"
                authorized = "HTTP_AUTHORIZATION" in environ
                call = ApiCall(self._account, match.version, query, body, now, base, authorized)
                reply = match.route.handler(call, **match.arguments)
            except Refused as refused:
                reply = Reply(refused.status, {**refused.body, "correlationId": str(uuid4())}, refused.headers)
            finally:  # also when a body was so odd that the stand-in fell over
                self._world.journal.record(
                    vendor="hubspot",
                    operation=operation,
                    method=method,
                    path=path,
                    status=reply.status,
                    items=call.items if call else 1,
                    effects=tuple(call.act.effects) if call else (),
                )
        reply.headers = {**rates, **reply.headers}
        return reply

    def _match(self, method: str, path: str) -> Match:
        try:
            return find(method, path)
        except NotFound:
            raise Refused(404, f"No route for {method} {path}", category=None) from None
        except MethodNotAllowed:
            raise Refused(405, f"{method} is not allowed for {path}", category=None) from None

    def _admit(self, environ: WSGIEnvironment, match: Match) -> tuple[Token, dict[str, str]]:
        token = self._account.tokens.of(environ.get("HTTP_AUTHORIZATION", ""))
        return token, self._account.limits.count(token, search=match.route.search)


def _query(text: str) -> dict[str, list[str]]:
    if len(text) > _LONGEST_QUERY:
        raise Refused(414, "URI Too Long", category=None)
    return parse_qs(text, keep_blank_values=True) if text else {}


def _encode(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
