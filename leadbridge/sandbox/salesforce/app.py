"""The WSGI face of the stand-in: sessions, quotas, versions, the journal entry of every call."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.http import HTTP_STATUS_CODES

from leadbridge.sandbox.salesforce.answers import Refused, Reply, RowError, not_found
from leadbridge.sandbox.salesforce.call import ApiCall, Org
from leadbridge.sandbox.salesforce.routes import NEWEST, OLDEST, RETIRED, Match, find, operation_of, split, versions
from leadbridge.sandbox.salesforce.store import ORG_ID, Act

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from leadbridge.sandbox.world import World

_LONGEST_URL = 16_384
_TOO_LONG = "<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>"
_SOAP_FAULT = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
    'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com">'
    "<soapenv:Body><soapenv:Fault><faultcode>sf:INVALID_OPERATION</faultcode>"
    "<faultstring>INVALID_OPERATION: {0}</faultstring><detail><sf:ApiFault>"
    "<sf:exceptionCode>INVALID_OPERATION</sf:exceptionCode><sf:exceptionMessage>{0}</sf:exceptionMessage>"
    "</sf:ApiFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
)


class App:
    """Answers one call at a time. ``saved`` hears of every act that changed rows, after it is done."""

    def __init__(self, world: World, org: Org, saved: Callable[[Act], None]) -> None:
        self._world = world
        self._org = org
        self._saved = saved

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        reply = self._reply(environ, path, body)
        data = b"" if reply.body is None else _encode(reply.body, environ.get("HTTP_X_PRETTYPRINT") == "1")
        headers = [*reply.headers.items(), ("Content-Length", str(len(data)))]
        if data:
            headers.append(("Content-Type", reply.content_type))
        start_response(f"{reply.status} {HTTP_STATUS_CODES.get(reply.status, 'Unknown')}", headers)
        return [data]

    def _reply(self, environ: WSGIEnvironment, path: str, body: bytes) -> Reply:
        method = environ["REQUEST_METHOD"]
        calls: list[ApiCall] = []
        reply = Reply(500)
        with self._org.store.lock:
            try:
                reply = self._answer(environ, method, path, body, calls)
            except Refused as refused:
                reply = Reply(refused.status, refused.body, content_type=refused.content_type)
            except RowError as error:  # a key that fits no field
                reply = Reply(error.status, error.as_refusal().body)
            finally:  # also when a body was so odd that the stand-in fell over
                self._world.journal.record(
                    vendor="salesforce",
                    operation=operation_of(method, path),
                    method=method,
                    path=path,
                    status=reply.status,
                    items=calls[0].items if calls else 1,
                    effects=tuple(calls[0].act.effects) if calls else (),
                )
            if calls:
                self._saved(calls[0].act)
                reply.headers = {**self._org.usage.header(), **reply.headers}
        return reply

    def _answer(self, environ: WSGIEnvironment, method: str, path: str, body: bytes, calls: list[ApiCall]) -> Reply:
        query = environ.get("QUERY_STRING", "")
        if len(path) + len(query) > _LONGEST_URL:
            return Reply(414, _TOO_LONG, content_type="text/html;charset=iso-8859-1")
        plain = path.rstrip("/")
        if plain == "/services/data" and method == "GET":
            return Reply(body=versions())
        if plain == "/services/oauth2/token" and method == "POST":
            return self._token(environ, body)
        if plain == "/services/oauth2/userinfo" and method == "GET":
            return self._userinfo(environ)
        if path.startswith("/services/Soap/u/"):
            return _no_soap_login(path)
        match = _match(method, path)
        user_id = self._org.tokens.user_of(environ.get("HTTP_AUTHORIZATION", ""))
        self._org.usage.count()
        call = ApiCall(
            self._org,
            match.version,
            dict(parse_qsl(query, keep_blank_values=True)),
            _headers(environ),
            _inflated(body, environ.get("HTTP_CONTENT_ENCODING", "")),
            self._world.clock.now(),
            user_id,
        )
        calls.append(call)
        return match.route.handler(call, **match.arguments)

    def _token(self, environ: WSGIEnvironment, body: bytes) -> Reply:
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        host = environ.get("HTTP_HOST", "")
        instance = f"{'https' if host.endswith('.salesforce.com') else environ['wsgi.url_scheme']}://{host}"
        answer = self._org.tokens.grant(form, environ.get("HTTP_AUTHORIZATION", ""), host, instance)
        return Reply(body=answer, headers={"Cache-Control": "no-cache, no-store"})

    def _userinfo(self, environ: WSGIEnvironment) -> Reply:
        user_id = self._org.tokens.user_of(environ.get("HTTP_AUTHORIZATION", ""))
        user = self._org.store.state.rows["User"][user_id]
        name = user.get("Username")
        return Reply(body={"user_id": user_id, "organization_id": ORG_ID, "preferred_username": name})


def _match(method: str, path: str) -> Match:
    """The route; 410 for a retired version, 404 and 405 as Salesforce words them."""
    parts = split(path)
    if parts is not None and parts[1] in RETIRED:
        raise Refused(410, "GONE", "The requested API version has been retired.")
    if parts is None or not OLDEST <= parts[1] <= NEWEST:
        raise not_found()
    try:
        return find(method, path)
    except NotFound:
        raise not_found() from None
    except MethodNotAllowed as refusal:
        allowed = ",".join(sorted(refusal.valid_methods or ()))
        message = f"HTTP Method '{method}' not allowed. Allowed are {allowed}"
        raise Refused(405, "METHOD_NOT_ALLOWED", message) from None


def _no_soap_login(path: str) -> Reply:
    """SOAP login fails at 65.0 and later, and is off by default in new orgs before that (section 1.1)."""
    found = re.fullmatch(r"/services/Soap/u/(\d+)\.\d+/?.*", path)
    version = int(found[1]) if found else 0
    message = (
        f"The SOAP Login operation is not available in the API version specified ({version}.0)."
        if version >= 65
        else "SOAP API login() is disabled by default in this org. Contact the org administrator."
    )
    return Reply(500, _SOAP_FAULT.format(message), content_type="text/xml; charset=utf-8")


def _headers(environ: Mapping[str, object]) -> dict[str, str]:
    found = {n[5:].replace("_", "-").lower(): str(v) for n, v in environ.items() if n.startswith("HTTP_")}
    kind = environ.get("CONTENT_TYPE")
    return found | ({"content-type": str(kind)} if kind else {})


def _inflated(body: bytes, encoding: str) -> bytes:
    if encoding != "gzip":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        raise Refused(400, "JSON_PARSER_ERROR", "the body is not what Content-Encoding says") from None


def _encode(body: object, pretty: bool) -> bytes:
    if isinstance(body, str):
        return body.encode()
    if pretty:
        return json.dumps(body, ensure_ascii=False, indent=2, separators=(",", " : ")).encode()
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
