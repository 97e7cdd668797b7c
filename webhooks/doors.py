"""The doors as routes: which receiver answers where. A vendor without a secret has no door."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response, request
from pydantic import SecretStr
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from connectors.grants import SIGNING
from leadbridge import logs
from leadbridge.config.connections import HubSpotConnection, MailchimpConnection, SalesforceConnection
from leadbridge.config.schema import Config
from leadbridge.errors import WebhookRefused
from leadbridge.store import grants
from leadbridge.store.engine import Store
from sync import accounts
from webhooks.base import Answer, Delivery, Receiver
from webhooks.held import Held
from webhooks.hubspot import HubSpotReceiver
from webhooks.intake import KINDS, IntakeReceiver
from webhooks.known import Known
from webhooks.mailchimp import MailchimpReceiver
from webhooks.refusals import Refusals
from webhooks.salesforce import CalloutReceiver, OutboundReceiver
from webhooks.signatures import signed_address
from webhooks.writer import Keeping, Unavailable, Writer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = logs.logger(__name__)


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


def add_doors(
    app: Flask, config: Config, store: Store, writer: Writer, refusals: Refusals, portal: Callable[[], str | None]
) -> None:
    """Route every door the configuration has a secret for."""
    doors = _Doors(app, config, writer, refusals)
    connections = config.connections
    if connections.hubspot is not None:
        doors.hubspot(connections.hubspot, portal)
    if connections.salesforce is not None:
        doors.salesforce(connections.salesforce, _organization(store, connections.salesforce.organization))
    if connections.mailchimp is not None:
        doors.mailchimp(connections.mailchimp, _shown_once(store))
    if config.intake is not None:
        receiver = IntakeReceiver(writer, write_keys=plain(config.intake.write_key, config.intake.write_key_previous))
        for kind in KINDS:
            route(app, f"/v1/{kind}", f"intake_{kind}", doors.taking(receiver, kind=kind), "POST")


class _Doors:
    """What every door needs, and each vendor's in a method."""

    def __init__(self, app: Flask, config: Config, writer: Writer, refusals: Refusals) -> None:
        self._refusals = refusals
        self._app = app
        self._config = config
        self._writer = writer

    def hubspot(self, mine: HubSpotConnection, portal: Callable[[], str | None]) -> None:
        if not (secrets := plain(mine.webhook_secret, mine.webhook_secret_previous)):
            return
        if self._config.web.public_url is None:
            log.warning("web.public_url is not set, so only what is sent to this machine's own address is believed")
        receiver = HubSpotReceiver(self._writer, secrets=secrets, portal=portal)
        route(self._app, "/webhooks/hubspot", "hubspot", self.taking(receiver), "POST")

    def salesforce(self, mine: SalesforceConnection, organization: Callable[[], str | None]) -> None:
        secrets = plain(mine.webhook_secret, mine.webhook_secret_previous)
        flow_secrets = plain(mine.flow_secret, mine.flow_secret_previous)
        if secrets or flow_secrets:
            callout = CalloutReceiver(
                self._writer, secrets=secrets, flow_secrets=flow_secrets, organization=organization
            )
            route(self._app, "/webhooks/salesforce", "salesforce", self.taking(callout), "POST")
        if path_secrets := plain(mine.outbound_secret, mine.outbound_secret_previous):
            outbound = OutboundReceiver(self._writer, path_secrets=path_secrets, organization=organization)
            view = self.taking(outbound)
            route(self._app, "/webhooks/salesforce/outbound/<secret>", "salesforce_outbound", view, "POST")

    def mailchimp(self, mine: MailchimpConnection, shown_once: Known) -> None:
        if not (secrets := plain(mine.webhook_secret, mine.webhook_secret_previous)):
            return
        receiver = MailchimpReceiver(
            self._writer,
            path_secrets=secrets,
            audience=mine.audience,
            signing_secrets=lambda: [*plain(mine.webhook_signing_secret), *filter(None, [shown_once()])],
        )
        take = self.taking(receiver)

        def view(secret: str) -> Response:
            if request.method == "POST":
                return take(secret)
            # Mailchimp tries the address when the webhook is made; nobody else learns that it is one.
            if receiver.knows(secret):
                return Response(status=200)
            return respond(receiver.refuse(WebhookRefused("not_found", 404)))

        route(self._app, "/webhooks/mailchimp/<secret>", "mailchimp", view, "GET", "HEAD", "POST")

    def taking(self, receiver: Receiver, kind: str = "") -> Callable[..., Response]:
        """The view that hands a request to this receiver."""
        receiver.refusals = self._refusals
        public = lru_cache(maxsize=4)(partial(public_address, self._config))  # by the port, which is always one

        def view(secret: str = "") -> Response:
            try:
                body = request.get_data(cache=False)
                target = raw_target(request.environ)
            except WebhookRefused as refused:
                return respond(receiver.refuse(refused))
            except Unavailable as why:
                return respond(receiver.unavailable(why.reason))
            except RequestEntityTooLarge:
                return respond(receiver.refuse(WebhookRefused("too_large", 413)))
            except HTTPException:  # the sender left in the middle
                return respond(receiver.refuse(WebhookRefused("bad_request", 400)))
            address = signed_address(public(request.environ["SERVER_PORT"]), target)
            found = receiver.receive(Delivery(request.method, address, request.headers, body, secret, kind))
            return respond(found) if isinstance(found, Answer) else _held(receiver, found)

        return view


def _held(receiver: Receiver, keeping: Keeping) -> Response:
    """What leaves when the delivery is stored, or the refusal when it is not."""
    return respond(receiver.accepted(), partial(Held, keeping, lambda: respond(receiver.settled(keeping))))


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


def _organization(store: Store, configured: str | None) -> Known:
    """The org we work for: as configured, else that of the first sign-in."""
    return Known(lambda: accounts.pinned(store, "salesforce"), configured)


def _shown_once(store: Store) -> Known:
    """The secret of the webhook that `leadbridge apply` made at Mailchimp, if it is a signed one.

    Looked up when a delivery comes, so that the door opens while the store is away.
    """

    def ask() -> str | None:
        with store.reading() as tx:
            kept = grants.read(tx, store.vault, SIGNING)
        if kept is None:
            return None
        logs.hide(kept["secret"])
        return kept["secret"]

    return Known(ask)


def route(app: Flask, rule: str, name: str, view: Callable[..., Response], *methods: str) -> None:
    """Add a route that answers these methods and no others."""
    app.add_url_rule(rule, name, view, methods=methods, provide_automatic_options=False)


def respond(answer: Answer, make: Callable[..., Response] = Response) -> Response:
    """The answer as HTTP. A refusal is a JSON object with its code."""
    status = answer.status
    if answer.body:
        response = make(answer.body, status, content_type=answer.content_type)
    elif answer.reason:  # Flask's jsonify wants a request, which may be over
        response = make(f'{{"error":"{answer.reason}"}}\n', status, content_type="application/json")
    else:
        response = make(status=status)
    if answer.retry_after is not None:
        response.headers["Retry-After"] = str(answer.retry_after)
    return response


def plain(*secrets: SecretStr | None) -> list[str]:
    """The secrets that are set, as text."""
    return [value for secret in secrets if secret is not None and (value := secret.get_secret_value())]
