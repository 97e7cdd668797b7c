"""create_app(): the doors, the health pages and the status page as one Flask application.

Flask only carries: what is accepted and in which order is decided by the receivers. No input is ever echoed, every
answer has the security headers, every error is a JSON object with a stable code (reliability G7).
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from leadbridge import logs
from leadbridge.config.schema import Config
from leadbridge.store.counts import Keeper
from leadbridge.store.engine import Store
from sync.wiring import hide_secrets
from webhooks import exposition
from webhooks.base import MAX_BODY, Answer
from webhooks.dashboard import page
from webhooks.doors import add_doors, respond, route
from webhooks.health import Health, Report
from webhooks.held import Held
from webhooks.refusals import Refusals
from webhooks.space import Space
from webhooks.writer import Doorbell, Writer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logs.logger(__name__)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # a path may hold a secret
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


@dataclass(slots=True)
class Running:
    """The threads behind one application."""

    writer: Writer
    doorbell: Doorbell
    refusals: Refusals
    counters: Keeper

    def stop(self) -> None:
        """Commit what was taken in, then end. Deliveries that come later are answered 503."""
        self.writer.stop()
        self.doorbell.stop()
        self.refusals.stop()
        self.counters.stop()


def running(app: Flask) -> Running:
    """What `create_app` started for this application."""
    found: Running = app.extensions["leadbridge"]
    return found


def create_app(
    config: Config, store: Store, *, wake: Callable[[], None], portal: Callable[[], str | None] = lambda: None
) -> Flask:
    """The web application. `wake` tells the worker that something came; `portal` names the pinned HubSpot account.

    A vendor without a webhook secret has no door. Stop it by `running(app).stop()`; `webhooks.serve` does.
    """
    doorbell = Doorbell(wake)
    space = Space(store, config.web.keep_free)
    writer = Writer(store, on_new=doorbell.ring, space=space)
    app = Flask("webhooks", static_folder=None, root_path=page.ROOM)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.url_map.merge_slashes = False  # no redirects: a vendor's signature is for the address it called
    refusals = Refusals(store)
    app.extensions["leadbridge"] = Running(writer, doorbell, refusals, Keeper(store))
    app.wsgi_app = _Mounted(app.wsgi_app, urlsplit(config.web.public_url or "").path)  # type: ignore[method-assign]
    hide_secrets(config)
    add_doors(app, config, store, writer, refusals, portal)
    _add_health(app, Health(store, writer, space, vendors=config.connections.names))
    page.add_to(app, config, store)
    exposition.add_to(app, config, store)
    _add_habits(app)
    return app


def _add_health(app: Flask, health: Health) -> None:
    def answer(look: Callable[[], Report]) -> Callable[[], Response]:
        def view() -> Response:
            found = look()
            response = jsonify(found.body())
            response.status_code = found.status
            return response

        return view

    route(app, "/healthz", "health", answer(health.working), "GET", "HEAD")
    route(app, "/readyz", "ready", answer(health.ready), "GET", "HEAD")


def _add_habits(app: Flask) -> None:
    def begin() -> None:
        g.began = time.monotonic()

    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        # The route, not the path: a path may hold a secret, and what a stranger asks for is no text of ours.
        route = request.url_rule.rule if request.url_rule else "(none)"
        method, began = request.method, g.began

        def told(status: int) -> None:
            tell = log.warning if status >= 500 else log.info if status >= 400 else log.debug
            tell("request", method=method, route=route, status=status, ms=round((time.monotonic() - began) * 1000, 1))

        if isinstance(response, Held):
            response.told = told
        else:
            told(response.status_code)
        return response

    def http_error(error: HTTPException) -> Response:
        status = error.code if error.code and error.code >= 400 else 404
        response = jsonify(error=_CODES.get(status, "refused"))
        response.status_code = status
        if status == 405:
            response.headers["Allow"] = error.get_response().headers.get("Allow", "")
        return response

    def unforeseen(error: Exception) -> Response:
        log.error("request not handled", kind=type(error).__name__)
        return respond(Answer(503, "internal", 30))

    app.before_request(begin)
    app.after_request(finish)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unforeseen)


class _Mounted:
    """Takes the path of the public address off the front of a request's, for proxies that leave it there."""

    def __init__(self, app: "WSGIApplication", prefix: str) -> None:
        self._app = app
        self._prefix = prefix.rstrip("/")

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if self._prefix and path.startswith(f"{self._prefix}/"):
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + self._prefix
            environ["PATH_INFO"] = path.removeprefix(self._prefix)
        return self._app(environ, start_response)
