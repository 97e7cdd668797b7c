"""The status page at `/`: server-rendered, without scripts. Lead text is data; the template escapes all of it (G28).

It shows people, so it is not for strangers: without a password it is given only to this machine, and only while
nothing but this machine is configured to call us. With `web.status_password` the browser asks for it.
"""

import ipaddress
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, render_template, request, send_from_directory

from leadbridge import clock
from leadbridge.config.schema import Config
from leadbridge.store.engine import Store
from webhooks.dashboard.status import Status, read
from webhooks.signatures import same_secret

ROOM = str(Path(__file__).parent)

FRESH_FOR = 2.0
"""Seconds a reading of the store is shown again."""


def add_to(app: Flask, config: Config, store: Store) -> None:
    """Add the page and its style sheet."""
    score = next(iter(config.scores))
    lock = threading.Lock()
    seen: tuple[float, Status] | None = None

    def status() -> Status:
        nonlocal seen
        with lock:
            if seen is None or time.monotonic() - seen[0] > FRESH_FOR:
                with store.reading() as tx:
                    seen = time.monotonic(), read(tx, score, clock.now())
            return seen[1]

    def view() -> Response:
        if (refusal := closed(config)) is not None:
            return refusal
        return Response(render_template("status.html", status=status()))

    def style() -> Response:
        return send_from_directory(f"{ROOM}/static", "status.css", mimetype="text/css")

    app.add_url_rule("/", "status", view, methods=["GET", "HEAD"], provide_automatic_options=False)
    app.add_url_rule("/status.css", "style", style, methods=["GET", "HEAD"], provide_automatic_options=False)


def closed(config: Config) -> Response | None:
    """The refusal, or None when this request may see the page."""
    password = config.web.status_password
    if password is not None:
        given = request.authorization
        if given is not None and same_secret(given.password or "", [password.get_secret_value()]):
            return None
        response = jsonify(error="password_needed")
        response.status_code = 401
        response.headers["WWW-Authenticate"] = 'Basic realm="leadbridge", charset="UTF-8"'
        return response
    # A proxy on this machine looks like this machine, so a public address closes the page whoever asks. The Host
    # header is looked at because a page elsewhere can point a name of its own at 127.0.0.1.
    public = urlsplit(config.web.public_url).hostname if config.web.public_url else None
    asked = urlsplit(f"//{request.host}").hostname
    if (public is None or _is_here(public)) and _is_here(asked) and _is_here(request.remote_addr):
        return None
    response = jsonify(error="status_page_closed")
    response.status_code = 403
    return response


def _is_here(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
