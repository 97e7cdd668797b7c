"""The control interface below ``/_sandbox``: the clock, the journal, faults, snapshots, and what people do.

JSON in and out. It is no part of any vendor, leaves no journal entries and suffers no faults.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError, validate_call
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, MapAdapter, Rule
from werkzeug.wrappers import Request, Response

from leadbridge.sandbox.hubspot import HubSpot
from leadbridge.sandbox.hubspot.answers import Refused
from leadbridge.sandbox.world import Call, Fault, Vendor, World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_FAULT = TypeAdapter(Fault)
_FAULT_KINDS = ("status", "html", "empty", "hang", "reset_before", "reset_after", "truncate")
Body = dict[str, Any]
# Method, path, and the name of the method that answers.
_TABLE = (
    ("GET", "/journal", "_journal"),
    ("GET", "/dump", "_dump"),
    ("GET", "/clock", "_clock"),
    ("POST", "/clock", "_set_clock"),
    ("POST", "/faults", "_add_fault"),
    ("DELETE", "/faults", "_clear_faults"),
    ("POST", "/settings", "_configure_world"),
    ("POST", "/snapshot", "_take_snapshot"),
    ("POST", "/reset", "_reset"),
    ("POST", "/<vendor>/settings", "_configure"),
    ("POST", "/<vendor>/do/<act>", "_do"),
    ("POST", "/hubspot/contacts/<contact_id>", "_edit_contact"),
    ("POST", "/hubspot/tokens", "_add_token"),
    ("POST", "/hubspot/oauth/codes", "_add_code"),
    ("POST", "/hubspot/webhooks/target", "_set_target"),
    ("DELETE", "/hubspot/webhooks/target", "_drop_target"),
    ("POST", "/hubspot/webhooks/deliver", "_deliver"),
    ("GET", "/hubspot/webhooks/waiting", "_waiting"),
)


@cache
def _map() -> MapAdapter:
    """Compiled once for all sandboxes of this process."""
    return Map([Rule(f"/_sandbox{path}", methods=[method], endpoint=act) for method, path, act in _TABLE]).bind("")


class Control:
    """A WSGI app over the whole sandbox."""

    def __init__(self, world: World, hubspot: HubSpot, vendors: Sequence[Vendor]) -> None:
        self._world = world
        self._hubspot = hubspot
        self._vendors = {vendor.name: vendor for vendor in vendors}
        self._snapshot: tuple[Any, dict[str, Any]] | None = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        try:
            act, arguments = _map().match(request.path.rstrip("/"), request.method)
            status, answer = 200, getattr(self, act)(_body(request), **arguments)
        except HTTPException as error:
            status, answer = error.code or 500, {"error": error.description}
        except Refused as refused:
            status, answer = refused.status, {"error": refused.body["message"]}
        except KeyError as error:
            status, answer = 404, {"error": str(error)}
        except (ValidationError, ValueError, TypeError) as error:
            status, answer = 400, {"error": str(error)}
        response = Response(json.dumps(answer, ensure_ascii=False), status, content_type="application/json")
        return response(environ, start_response)

    def _journal(self, body: Body) -> object:
        calls = self._world.journal.since(int(body.get("since", 0)))
        return [_call_json(call) for call in calls]

    def _dump(self, _: Body) -> object:
        return {name: vendor.dump() for name, vendor in self._vendors.items()}

    def _clock(self, _: Body) -> object:
        return {"now": self._world.clock.now().isoformat()}

    def _set_clock(self, body: Body) -> object:
        if "set" in body:
            at = datetime.fromisoformat(body["set"])
            self._world.clock.set(at if at.tzinfo else at.replace(tzinfo=UTC))
        if "advance_seconds" in body:
            self._world.clock.advance(timedelta(seconds=float(body["advance_seconds"])))
        return self._clock(body)

    def _add_fault(self, body: Body) -> object:
        fault = _FAULT.validate_python(body)
        if fault.kind not in _FAULT_KINDS:
            raise ValueError(f"kind must be one of {', '.join(_FAULT_KINDS)}")
        self._world.faults.add(fault)
        return asdict(fault)

    def _clear_faults(self, _: Body) -> object:
        self._world.faults.clear()
        return {}

    def _configure_world(self, body: Body) -> object:
        """``latency``: seconds every vendor answer is held back."""
        self._world.latency = float(body["latency"])
        return {"latency": self._world.latency}

    def _take_snapshot(self, _: Body) -> object:
        self._snapshot = (
            self._world.clock.snapshot(),
            {name: vendor.snapshot() for name, vendor in self._vendors.items()},
        )
        return {}

    def _reset(self, _: Body) -> object:
        """Back to the snapshot: state and clock as they were, the journal empty, no faults; settings stay."""
        if self._snapshot is None:
            raise ValueError("there is no snapshot to go back to: POST /_sandbox/snapshot first")
        face, states = self._snapshot
        self._world.clock.restore(face)
        self._world.faults.clear()
        for name, state in states.items():
            self._vendors[name].restore(state)
        self._world.journal.clear()
        return {}

    def _configure(self, body: Body, vendor: str) -> object:
        settings = self._vendors[vendor].settings
        unknown = [name for name in body if not hasattr(settings, name)]
        if unknown:
            raise ValueError(f"no such setting: {', '.join(unknown)}")
        for name, value in body.items():
            setattr(settings, name, value)
        return body

    def _do(self, body: Body, vendor: str, act: str) -> object:
        """Call a seeding method, or one of those that stand for a person, by name with named arguments."""
        stand_in = self._vendors[vendor]
        if act not in stand_in.acts:
            raise KeyError(act)
        # By the annotations: instants come as text.
        return {"result": validate_call(getattr(stand_in, act))(**body)}

    def _edit_contact(self, body: Body, contact_id: str) -> object:
        self._hubspot.edit_contact(contact_id, body["properties"])
        return {}

    def _add_token(self, body: Body) -> object:
        """``token``, and optionally ``kind``, ``scopes``, ``expires_in``."""
        self._hubspot.tokens.add(body.pop("token"), **body)
        return {}

    def _add_code(self, body: Body) -> object:
        """A code as the consent page would hand out, for the scopes given."""
        code = str(body.get("code") or "sandbox-hubspot-code")
        self._hubspot.tokens.add_code(code, body.get("scopes"))
        return {"code": code}

    def _set_target(self, body: Body) -> object:
        """``url``, and optionally ``secret`` and ``subscriptions`` (names, or objects as HubSpot writes them)."""
        if body.get("subscriptions") is not None:
            self._hubspot.webhooks.subscribe([_subscription(one) for one in body["subscriptions"]])
        self._hubspot.webhooks.set_target(body["url"], body.get("secret"))
        return {}

    def _drop_target(self, _: Body) -> object:
        self._hubspot.webhooks.set_target(None)
        return {}

    def _deliver(self, _: Body) -> object:
        return self._hubspot.webhooks.deliver().as_json()

    def _waiting(self, _: Body) -> object:
        return {"waiting": self._hubspot.webhooks.waiting()}


def _body(request: Request) -> Body:
    """The JSON object of a call, or its query where it has no body."""
    data = request.get_data()
    given = json.loads(data) if data else request.args.to_dict()
    if not isinstance(given, dict):
        raise TypeError("an object is needed")
    return given


def _subscription(given: object) -> str:
    if isinstance(given, dict):
        name = given.get("subscriptionType") or given["eventType"]
        return f"{name}:{given['propertyName']}" if given.get("propertyName") else str(name)
    return str(given)


def _call_json(call: Call) -> dict[str, Any]:
    found = {name: getattr(call, name) for name in Call.__slots__}
    return {**found, "effects": [{"kind": e.kind, "detail": dict(e.detail)} for e in call.effects]}
