"""The ground the rooms of the stand-in share: state, settings, clock, routing, the journal."""

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from leadbridge.sandbox.mailchimp.answers import Answer, Body, Problem, misshapen, new_request_id, not_found, partial
from leadbridge.sandbox.mailchimp.courier import Courier
from leadbridge.sandbox.mailchimp.settings import Settings
from leadbridge.sandbox.mailchimp.state import Audience, Member, MergeField, State, hash_of
from leadbridge.sandbox.world import Effect, World

VENDOR = "mailchimp"
DEFAULT_FIELDS = (  # what a new audience has
    ("FNAME", "First Name", "text"),
    ("LNAME", "Last Name", "text"),
    ("ADDRESS", "Address", "address"),
    ("PHONE", "Phone Number", "phone"),
    ("BIRTHDAY", "Birthday", "birthday"),
)


@dataclass(slots=True)
class Act:
    """Something being done: by whom, when, and what it really changed so far."""

    at: datetime
    source: Literal["user", "admin", "api"] = "api"
    silent: bool = False  # seeding: no webhook, no journey
    effects: list[Effect] = field(default_factory=list)

    def effect(self, kind: str, **detail: Any) -> None:
        self.effects.append(Effect(kind, detail))


@dataclass(slots=True)
class Ask:
    """One API call as the handlers see it."""

    method: str
    path: str  # below /3.0
    query: Mapping[str, str]
    body: Any
    act: Act
    root: str = ""  # address of the stand-in up to and including /3.0
    at: dict[str, str] = field(default_factory=dict)  # pieces of the path
    items: int = 1

    def fields(self, *required: str) -> Body:
        """The body as an object, with what must be in it."""
        body = {} if self.body is None else self.body
        if not isinstance(body, dict):
            raise misshapen(("", "Schema describes object, another type found instead"))
        if missing := [(name, "This value should not be blank.") for name in required if body.get(name) in (None, "")]:
            raise misshapen(*missing)
        return body


Handler = Callable[["Core", Ask], "Body | Answer | None"]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    pattern: str  # "/lists/{list_id}/members"
    operation: str
    handler: Handler
    locked: bool = True  # False: the handler takes the lock itself, because it talks to somebody else meanwhile


class Routes:
    """Finds the handler of a path. Literal pieces win over placeholders."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_length: dict[int, list[tuple[tuple[str, ...], dict[str, Route]]]] = {}
        self.all = tuple(routes)
        for route in self.all:
            pieces = tuple(route.pattern.strip("/").split("/"))
            known = self._by_length.setdefault(len(pieces), [])
            methods = next((methods for shape, methods in known if shape == pieces), None)
            if methods is None:
                known.append((pieces, methods := {}))
            methods[route.method] = route
        for known in self._by_length.values():
            known.sort(key=lambda entry: sum(piece.startswith("{") for piece in entry[0]))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and the pieces it names; Problem 404 or 405 otherwise."""
        pieces = path.strip("/").split("/")
        for shape, methods in self._by_length.get(len(pieces), ()):
            if all(want == got or (want.startswith("{") and got) for want, got in zip(shape, pieces, strict=True)):
                if method not in methods:
                    allow = ", ".join(sorted(methods))
                    raise Problem.named("MethodNotAllowed", headers={"Allow": allow})
                return methods[method], {
                    want[1:-1]: got for want, got in zip(shape, pieces, strict=True) if want.startswith("{")
                }
        raise not_found()

    def operation(self, method: str, path: str) -> str:
        try:
            return self.find(method, path)[0].operation
        except Problem:
            return "unknown"


class Core:
    """State and the one door to it."""

    def __init__(self, world: World, routes: Routes, audience: str, settings: Settings) -> None:
        self.world = world
        self.routes = routes
        self.settings = settings
        self.lock = threading.RLock()
        self.codes: dict[str, str] = {}  # of consents that nobody has exchanged yet: the address each was sent to
        self.state = State()
        self.default_audience = audience
        self.courier = Courier(world, settings)
        self.add_audience(audience, "Sandbox audience")

    def now(self) -> datetime:
        """The sandbox's clock in whole seconds: the service keeps no smaller unit."""
        return self.world.clock.now().astimezone(UTC).replace(microsecond=0)

    def act(self, source: Literal["user", "admin", "api"] = "api", *, silent: bool = False) -> Act:
        return Act(self.now(), source, silent)

    def add_audience(
        self, list_id: str, name: str, *, double_optin: bool = False, permissions: Mapping[str, str] | None = None
    ) -> None:
        """A further audience with the fields every audience starts with."""
        audience = Audience(list_id, name, self.now(), double_optin, dict(permissions or {}))
        for merge_id, (tag, title, kind) in enumerate(DEFAULT_FIELDS, 1):
            audience.merge_fields[merge_id] = MergeField(
                merge_id, tag, title, kind, public=merge_id < 3, display_order=merge_id + 1
            )
        with self.lock:
            self.state.audiences[list_id] = audience

    def audience(self, ask: Ask) -> Audience:
        try:
            return self.state.audiences[ask.at["list_id"]]
        except KeyError:
            raise not_found() from None

    def member(self, ask: Ask) -> tuple[Audience, Member]:
        """The contact a path names by hash, by address or by contact id (vendor page, 3)."""
        audience = self.audience(ask)
        key = ask.at["subscriber_hash"]
        found = find_member(audience, key)
        if found is None:
            raise not_found()
        return audience, found

    def dispatch(self, ask: Ask, request_id: str | None = None) -> tuple[Answer, str]:
        """Do one call; its answer and the name of its operation. The effects are in ``ask.act``."""
        operation = "unknown"
        try:
            if "//" in ask.path:  # an empty piece is not read as a path at all (vendor page, 12)
                raise Problem.named("APIKeyMissing")
            route, ask.at = self.routes.find(ask.method, ask.path)
            operation = route.operation
            if isinstance(ask.body, Unreadable):
                raise Problem.named("JSONParseError")
            if route.locked:
                with self.lock:
                    result = route.handler(self, ask)
            else:
                result = route.handler(self, ask)
            if isinstance(result, Answer):
                return result, operation
            if result is None:
                return Answer(204), operation
            return Answer(200, partial(result, ask.query) if ask.method == "GET" else result), operation
        except Problem as problem:
            return problem.answer(request_id or new_request_id()), operation


def find_member(audience: Audience, key: str) -> Member | None:
    found = audience.members.get(key.lower()) or audience.by_contact.get(key)
    return found or (audience.members.get(hash_of(key)) if "@" in key else None)


class Unreadable:
    """Stands for a body that is not JSON; every call that carries one is refused."""


def parsed(text: str | bytes) -> Any:
    """The body of a call: JSON, nothing at all, or `Unreadable`."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return Unreadable()


BELOW_3_0 = re.compile(r"^.*?/3\.0(?=/|$)")


def below(path: str) -> str:
    """The path after ``/3.0``, whatever prefix stands before it."""
    return BELOW_3_0.sub("", path, count=1) or "/"
