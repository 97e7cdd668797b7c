"""The HTTP face: keys, method override, forced errors, ten calls in flight, the journal (vendor page, 1, 2, 12, 14)."""

import json
import re
import threading
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import Flask, Response, request

from leadbridge.sandbox.mailchimp import batches
from leadbridge.sandbox.mailchimp.answers import JSON, Answer, Problem, new_request_id
from leadbridge.sandbox.mailchimp.core import VENDOR, Ask, Core, Routes, below, parsed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
METADATA = "/oauth2/metadata"
CONSENT = {"/oauth2/authorize": "oauth.authorize", "/oauth2/token": "oauth.token"}
CLIENT_ID, CLIENT_SECRET = "sandbox-mailchimp-client", "sandbox-mailchimp-secret"  # pretended, and printed in the docs
SLOT = "leadbridge.sandbox.mailchimp.slot"  # in the WSGI environment of a call that is counted already
DATACENTER = re.compile(r"-(us\d+)$")


class InFlight:
    """Counts the calls being worked on, over all keys of the account.

    Whoever holds calls back before they reach the app (latency, faults) takes the slot first: a call counts from its
    arrival. The app takes it for those who come directly.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.count = 0
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, environ: "WSGIEnvironment") -> Iterator[bool]:
        """Hold a place for this call; False when all are taken (answer 429 then)."""
        if SLOT in environ:
            yield environ[SLOT]
            return
        with self._lock:
            free = environ[SLOT] = self.count < self._core.settings.max_in_flight
            self.count += free
        try:
            yield free
        finally:
            with self._lock:
                self.count -= free


def operation_of(routes: Routes, method: str, path: str) -> str:
    """The stable name of a call, e.g. "members.put"; "unknown" when no such path is served."""
    if path.endswith(METADATA):
        return "oauth.metadata"
    if path in CONSENT:
        return CONSENT[path]
    path = below(path)
    return "batches.results" if path.startswith(batches.DOWNLOAD) else routes.operation(method.upper(), path)


def build(core: Core, in_flight: InFlight, api_key: str, tokens: set[str]) -> Flask:
    """The Flask app over ``core``. Any path with ``/3.0`` in it is served, whatever prefix stands before."""
    app = Flask("leadbridge.sandbox.mailchimp", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]

    @app.route("/", defaults={"path": ""}, methods=METHODS)
    @app.route("/<path:path>", methods=METHODS)
    def serve(path: str) -> Response:
        del path
        request_id = new_request_id()
        act = core.act()
        ask = Ask(request.method, below(request.path), request.args.to_dict(), None, act)
        operation = operation_of(core.routes, request.method, request.path)
        try:
            answer, operation = _answer(core, ask, request_id, operation, api_key, tokens)
        except Problem as problem:
            answer = problem.answer(request_id)
        core.world.journal.record(
            vendor=VENDOR,
            operation=operation,
            method=ask.method,
            path=request.path,
            status=answer.status,
            items=ask.items,
            effects=tuple(act.effects),
        )
        return respond(answer, request_id)

    inner = app.wsgi_app

    def counted(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with in_flight.slot(environ) as free:
            return (inner if free else _refusal(core))(environ, start_response)

    app.wsgi_app = counted  # type: ignore[method-assign]
    return app


def _refusal(core: Core) -> "WSGIApplication":
    """Answers 429 to the eleventh call, and notes it."""

    def refuse(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path, method = str(environ.get("PATH_INFO", "")), str(environ.get("REQUEST_METHOD", ""))
        operation = operation_of(core.routes, method, path)
        core.world.journal.record(vendor=VENDOR, operation=operation, method=method, path=path, status=429)
        request_id = new_request_id()
        return respond(Problem.of_status(429).answer(request_id), request_id)(environ, start_response)

    return refuse


def respond(answer: Answer, request_id: str) -> Response:
    """The answer on the wire. A 204 carries a content type and no body, as the service does."""
    raw = answer.raw
    if raw is None:
        raw = b"" if answer.body is None else json.dumps(answer.body, ensure_ascii=False).encode()
    headers = {"Content-Type": answer.content_type or JSON, "X-Request-Id": request_id, **answer.headers}
    return Response(raw, answer.status, headers)


def _answer(
    core: Core, ask: Ask, request_id: str, operation: str, api_key: str, tokens: set[str]
) -> tuple[Answer, str]:
    if operation == "oauth.metadata":
        return _metadata(api_key, tokens), operation
    if operation in CONSENT.values():
        with core.lock:
            return (_asked(core) if operation == "oauth.authorize" else _granted(core, tokens)), operation
    if operation == "batches.results":
        name = ask.path.removeprefix(batches.DOWNLOAD).strip("/")
        with core.lock:
            found = batches.download(core, name, dict(ask.query), authorized="Authorization" in request.headers)
        return found, operation
    if forced := request.headers.get("X-Trigger-Error"):
        raise Problem.named(forced)
    if override := request.headers.get("X-HTTP-Method-Override"):
        if ask.method != "POST":
            raise Problem.named("InvalidMethodOverride")
        ask.method = override.upper()
    _admit(api_key, tokens)
    ask.root = f"{request.host_url.rstrip('/')}{request.script_root}{request.path.partition('/3.0')[0]}/3.0"
    ask.body = parsed(request.get_data())
    with core.lock:
        batches.run_due(core)
    return core.dispatch(ask, request_id)


def _given_key() -> str:
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return b64decode(credential).decode().partition(":")[2]
        except ValueError:
            return ""
    if scheme.lower() in ("bearer", "oauth", "apikey"):
        return credential.strip()
    return request.args.get("apikey", "")


def _admit(api_key: str, tokens: set[str]) -> None:
    """Basic with any user name, or bearer; ``?apikey=`` only as long as it does not disagree (vendor page, 1)."""
    key = _given_key()
    if not key:
        raise Problem.named("APIKeyMissing")
    if request.args.get("apikey", key) != key:
        raise Problem.named("APIKeyInvalid")
    if key == api_key or key in tokens:
        return
    ours, theirs = DATACENTER.search(api_key), DATACENTER.search(key)
    if ours and theirs and ours[1] != theirs[1]:
        raise Problem(403, "Forbidden", f"The API key provided is linked to datacenter '{theirs[1]}'")
    raise Problem.named("APIKeyInvalid")


def _asked(core: Core) -> Answer:
    """The consent page, where somebody says yes at once, or no: back to the app with a code, or with the refusal."""
    given = request.args
    to = given.get("redirect_uri", "")
    if given.get("response_type") != "code" or given.get("client_id") != CLIENT_ID or not to:
        raise Problem(400, "Bad Request", "response_type, client_id or redirect_uri is missing or unknown")
    back = {"state": given["state"]} if "state" in given else {}
    if core.settings.consents:
        back["code"] = f"sandbox-mailchimp-code-{core.state.next('code')}"
        core.codes[back["code"]] = to
    else:
        back["error"] = "access_denied"
    return Answer(302, headers={"Location": f"{to}{'&' if '?' in to else '?'}{urlencode(back)}"})


def _granted(core: Core, tokens: set[str]) -> Answer:
    """A code for a token, once, and only with the address the code was sent to."""
    form = request.form
    if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
        return Answer(400, {"error": "invalid_client"})
    to = core.codes.pop(form.get("code", ""), None)
    if form.get("grant_type") != "authorization_code" or to is None or to != form.get("redirect_uri"):
        return Answer(400, {"error": "invalid_grant"})
    token = f"sandbox-mailchimp-token-{core.state.next('token')}"
    tokens.add(token)
    return Answer(200, {"access_token": token, "expires_in": 0, "scope": None})


def _metadata(api_key: str, tokens: set[str]) -> Answer:
    """A bad token still answers 200; only ``api_endpoint`` tells (vendor page, 1)."""
    if _given_key() not in tokens | {api_key}:
        return Answer(200, {"error": "invalid_token", "error_description": "The access token provided is invalid."})
    datacenter = DATACENTER.search(api_key)
    email = "owner@sandbox.example"
    body: dict[str, Any] = {
        "dc": datacenter[1] if datacenter else "us1",
        "role": "owner",
        "accountname": "Leadbridge Sandbox",
        "user_id": 131650000,
        "login": {
            "email": email,
            "avatar": None,
            "login_id": 168270000,
            "login_name": email,
            "login_email": email,
        },
        "login_url": "https://login.mailchimp.com",
        "api_endpoint": f"{request.host_url.rstrip('/')}{request.script_root}",
    }
    return Answer(200, body)
