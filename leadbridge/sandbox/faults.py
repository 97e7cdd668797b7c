"""Scripted trouble on the wire, the same for every vendor: it happens around the vendor's app, not in it."""

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from typing import TYPE_CHECKING

from werkzeug.http import HTTP_STATUS_CODES

from leadbridge.sandbox.world import Fault, Vendor, World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Arrived = Callable[["WSGIEnvironment"], AbstractContextManager[object]]
_HTML = b"<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"
# Answers that never reach the vendor's app, so nothing is done.
_INSTEAD = {"status", "html", "empty", "reset_before"}


class ConnectionCut(ConnectionError):
    """The server must cut the connection instead of answering."""


def troubled(vendor: Vendor, world: World, arrived: Arrived = nullcontext) -> "WSGIApplication":
    """The vendor's app with latency and faults before it. A call that a fault keeps from it is journalled here.

    ``arrived`` is held from the arrival of a call to its answer, so that a slow call counts as one in flight.
    """

    def serve(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with arrived(environ):
            if world.latency > 0:
                world.wait(world.latency)
            fault = _fault(vendor, world, environ) if world.faults else None
            if fault is None:
                return vendor.app(environ, start_response)
            if fault.kind in _INSTEAD:
                return _instead(vendor, world, fault, environ, start_response)
            if fault.kind == "hang":
                world.wait(fault.seconds)
                return vendor.app(environ, start_response)
            return _spoilt(vendor.app, fault, environ, start_response)

    return serve


def _fault(vendor: Vendor, world: World, environ: "WSGIEnvironment") -> Fault | None:
    operation = vendor.operation_of(environ["REQUEST_METHOD"], environ["PATH_INFO"])
    return world.faults.take(vendor.name, operation, lambda: _body(environ))


def _body(environ: "WSGIEnvironment") -> bytes:
    """The body of a call, which stays there to be read again."""
    body: bytes = environ["wsgi.input"].read()
    environ["wsgi.input"] = BytesIO(body)
    return body


def _instead(
    vendor: Vendor, world: World, fault: Fault, environ: "WSGIEnvironment", start_response: "StartResponse"
) -> Iterable[bytes]:
    cut = fault.kind == "reset_before"
    world.journal.record(
        vendor=vendor.name,
        operation=vendor.operation_of(environ["REQUEST_METHOD"], environ["PATH_INFO"]),
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        status=0 if cut else fault.status,
        items=_items(environ),
    )
    if cut:
        raise ConnectionCut
    headers: dict[str, str] = {}
    body = b""
    if fault.kind == "html":
        headers, body = {"Content-Type": "text/html; charset=utf-8"}, _HTML
    elif fault.kind == "status":
        headers = {"Content-Type": vendor.fault_content_type}
        body = json.dumps(vendor.fault_body(fault.status)).encode()
    headers |= fault.headers
    headers["Content-Length"] = str(len(body))
    start_response(f"{fault.status} {HTTP_STATUS_CODES.get(fault.status, 'Unknown')}", list(headers.items()))
    return [body]


def _items(environ: "WSGIEnvironment") -> int:
    """The inputs a refused call carried, as far as its body says."""
    try:
        given = json.loads(_body(environ))
    except ValueError:
        return 1
    lists = (given.get(name) for name in ("inputs", "operations", "records")) if isinstance(given, dict) else ()
    inputs = next((found for found in lists if found), None)
    return len(inputs) if isinstance(inputs, list) else 1


def _spoilt(
    app: "WSGIApplication", fault: Fault, environ: "WSGIEnvironment", start_response: "StartResponse"
) -> Iterable[bytes]:
    """The work is done, but the answer does not arrive, or only half of it."""
    head: list[tuple[str, list[tuple[str, str]]]] = []

    def remember(status: str, headers: list[tuple[str, str]], _: object = None) -> Callable[[bytes], object]:
        head.append((status, headers))
        return lambda _: None

    body = b"".join(app(environ, remember))
    if fault.kind == "reset_after":
        raise ConnectionCut
    half = body[: len(body) // 2]
    status, headers = head[0]
    kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
    start_response(status, [*kept, ("Content-Length", str(len(half)))])
    return [half]
