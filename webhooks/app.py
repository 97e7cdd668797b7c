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
from pydantic import SecretStr
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from leadbridge import logs
from leadbridge.config.schema import Config
from leadbridge.errors import WebhookRefused
from leadbridge.store.engine import Store
from webhooks.base import MAX_BODY, Answer, Delivery, Receiver
from webhooks.dashboard import page
from webhooks.health import Health, Report
from webhooks.hubspot import HubSpotReceiver
from webhooks.mailchimp import MailchimpReceiver
from webhooks.signatures import signed_address
from webhooks.writer import Doorbell, Unavailable, Writer

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

    def stop(self) -> None:
        """Commit what was taken in, then end. Deliveries that come later are answered 503."""
        self.writer.stop()
        self.doorbell.stop()


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
    writer = Writer(store, on_new=doorbell.ring)
    app = Flask("webhooks", static_folder=None, root_path=page.ROOM)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.url_map.merge_slashes = False  # no redirects: a vendor's signature is for the address it called
    app.extensions["leadbridge"] = Running(writer, doorbell)
    app.wsgi_app = _Mounted(app.wsgi_app, urlsplit(config.web.public_url or "").path)  # type: ignore[method-assign]
    _hide_secrets(config)
    _add_doors(app, config, writer, portal)
    _add_health(app, Health(store, writer))
    page.add_to(app, config, store)
    _add_habits(app)
    return app


def public_address(config: Config, port: str) -> str:
    """The base vendors call us at: as configured; on this machine only, without one, where we listen.

    `port` is the server's own word for where it listens. Never taken from what a client sends.
    """
    web = config.web
    base = web.public_url or f"http://{web.host}"
    parts = urlsplit(base)
    # With `port: 0` nobody can write the port down beforehand.
    open_port = web.public_url is None or (web.port == 0 and parts.scheme == "http")
    return f"{parts.scheme}://{parts.netloc}:{port}{parts.path}" if open_port and parts.port is None else base


def _add_doors(app: Flask, config: Config, writer: Writer, portal: Callable[[], str | None]) -> None:
    hubspot, mailchimp = config.connections.hubspot, config.connections.mailchimp

    def take(receiver: Receiver, path_secret: str = "") -> Response:
        try:
            body = request.get_data(cache=False)
            target = raw_target(request.environ)
        except WebhookRefused as refused:
            return _answer(receiver.refuse(refused))
        except Unavailable as why:
            return _answer(receiver.unavailable(why.reason))
        except RequestEntityTooLarge:
            return _answer(receiver.refuse(WebhookRefused("too_large", 413)))
        except HTTPException:  # the sender left in the middle
            return _answer(receiver.refuse(WebhookRefused("bad_request", 400)))
        address = signed_address(public_address(config, request.environ["SERVER_PORT"]), target)
        return _answer(receiver.receive(Delivery(request.method, address, request.headers, body, path_secret)))

    if hubspot is not None and (secrets := _plain(hubspot.webhook_secret, hubspot.webhook_secret_previous)):
        if config.web.public_url is None:
            log.warning("web.public_url is not set, so only what is sent to this machine's own address is believed")
        hubspot_door = HubSpotReceiver(writer, secrets=secrets, portal=portal)
        _route(app, "/webhooks/hubspot", "hubspot", lambda: take(hubspot_door), "POST")

    if mailchimp is not None and (secrets := _plain(mailchimp.webhook_secret, mailchimp.webhook_secret_previous)):
        mailchimp_door = MailchimpReceiver(
            writer,
            path_secrets=secrets,
            audience=mailchimp.audience,
            signing_secrets=_plain(mailchimp.webhook_signing_secret),
        )

        def mailchimp_view(secret: str) -> Response:
            if request.method == "POST":
                return take(mailchimp_door, secret)
            # Mailchimp tries the address when the webhook is made; nobody else learns that it is one.
            if mailchimp_door.knows(secret):
                return Response(status=200)
            return _answer(mailchimp_door.refuse(WebhookRefused("not_found", 404)))

        _route(app, "/webhooks/mailchimp/<secret>", "mailchimp", mailchimp_view, "GET", "HEAD", "POST")


def _add_health(app: Flask, health: Health) -> None:
    def answer(look: Callable[[], Report]) -> Callable[[], Response]:
        def view() -> Response:
            found = look()
            response = jsonify(found.body())
            response.status_code = found.status
            return response

        return view

    _route(app, "/healthz", "health", answer(health.working), "GET", "HEAD")
    _route(app, "/readyz", "ready", answer(health.ready), "GET", "HEAD")


def _add_habits(app: Flask) -> None:
    def begin() -> None:
        g.began = time.monotonic()

    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        # The route, not the path: a path may hold a secret, and what a stranger asks for is no text of ours.
        route = request.url_rule.rule if request.url_rule else "(none)"
        tell = log.warning if response.status_code >= 500 else log.info if response.status_code >= 400 else log.debug
        tell("request", method=request.method, route=route, status=response.status_code,
             ms=round((time.monotonic() - g.began) * 1000, 1))  # fmt: skip
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
        return _answer(Answer(503, "internal", 30))

    app.before_request(begin)
    app.after_request(finish)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unforeseen)


def _route(app: Flask, rule: str, name: str, view: Callable[..., Response], *methods: str) -> None:
    app.add_url_rule(rule, name, view, methods=methods, provide_automatic_options=False)


def _answer(answer: Answer) -> Response:
    response = jsonify(error=answer.reason) if answer.reason else Response()
    response.status_code = answer.status
    if answer.retry_after is not None:
        response.headers["Retry-After"] = str(answer.retry_after)
    return response


def raw_target(environ: "WSGIEnvironment") -> str:
    """Path and query exactly as received: what the vendor signed.

    waitress says `REQUEST_URI`, gunicorn `RAW_URI`. Raises WebhookRefused (bad_target) for a whole address in its
    place, and Unavailable (no_raw_target) under a server that tells neither: what is rebuilt is not what was signed.
    """
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if not target or not isinstance(target, str):
        raise Unavailable("no_raw_target")
    if not target.startswith("/"):
        raise WebhookRefused("bad_target", 400)
    return target


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


def _plain(*secrets: SecretStr | None) -> list[str]:
    return [value for secret in secrets if secret is not None and (value := secret.get_secret_value())]


def _hide_secrets(config: Config) -> None:
    connections = config.connections
    if connections.hubspot is not None:
        one = connections.hubspot
        logs.hide(*_plain(one.token, one.webhook_secret, one.webhook_secret_previous))
    if connections.mailchimp is not None:
        two = connections.mailchimp
        logs.hide(
            *_plain(
                two.api_key,
                two.access_token,
                two.webhook_secret,
                two.webhook_secret_previous,
                two.webhook_signing_secret,
            )
        )
