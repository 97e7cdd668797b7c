"""The Pub/Sub API of the stand-in: gRPC, on a port of its own (vendor page, section 6.4).

The contract is stated here once more, as a table, so that a slip in the connector's own copy cannot hide.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from leadbridge.sandbox.salesforce.answers import Refused
from leadbridge.sandbox.salesforce.changes import Change, Changes, known, place
from leadbridge.sandbox.salesforce.store import ORG_ID

if TYPE_CHECKING:
    from leadbridge.sandbox.salesforce.settings import Settings
    from leadbridge.sandbox.salesforce.tokens import Tokens
    from leadbridge.sandbox.world import World

_MOST = 100  # events asked for and not yet sent
_STREAMS = 16
_PACKAGE = "eventbus.v1"
_ERROR = "sfdc.platform.eventbus.grpc"
_LATEST, _EARLIEST, _CUSTOM = range(3)
# Message: its fields by number. A capital names another message, a star a list.
_MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    "ProducerEvent": {1: ("id", "string"), 2: ("schema_id", "string"), 3: ("payload", "bytes")},
    "ConsumerEvent": {1: ("event", "ProducerEvent"), 2: ("replay_id", "bytes")},
    "FetchRequest": {
        1: ("topic_name", "string"), 2: ("replay_preset", "int32"), 3: ("replay_id", "bytes"),
        4: ("num_requested", "int32"),
    },
    "FetchResponse": {
        1: ("events", "*ConsumerEvent"), 2: ("latest_replay_id", "bytes"), 3: ("rpc_id", "string"),
        4: ("pending_num_requested", "int32"),
    },
    "SchemaRequest": {1: ("schema_id", "string")},
    "SchemaInfo": {1: ("schema_json", "string"), 2: ("schema_id", "string"), 3: ("rpc_id", "string")},
    "TopicRequest": {1: ("topic_name", "string")},
    "TopicInfo": {
        1: ("topic_name", "string"), 2: ("tenant_guid", "string"), 3: ("can_publish", "bool"),
        4: ("can_subscribe", "bool"), 5: ("schema_id", "string"), 6: ("rpc_id", "string"),
    },
}  # fmt: skip


def _messages() -> dict[str, Any]:
    """The classes of the table, in a pool of their own."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="sandbox_pubsub.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, told) in fields.items():
            kind = told.removeprefix("*")
            added = message.field.add(name=field, number=number)
            added.label = kinds.LABEL_REPEATED if told != kind else kinds.LABEL_OPTIONAL
            if kind in _MESSAGES:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                added.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in _MESSAGES}
    return {name: message_factory.GetMessageClass(one) for name, one in found.items()}


MESSAGES = _messages()


class PubSub:
    """Serves the feed of one org until it is closed."""

    def __init__(self, world: World, changes: Changes, tokens: Tokens, settings: Settings, port: int) -> None:
        self._world = world
        self._changes = changes
        self._tokens = tokens
        self._settings = settings
        self._closed = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(_STREAMS + 4), options=[("grpc.so_reuseport", 0)])
        made = {
            "Subscribe": _handler(grpc.stream_stream_rpc_method_handler, self._subscribe, "FetchRequest"),
            "GetSchema": _handler(grpc.unary_unary_rpc_method_handler, self._get_schema, "SchemaRequest"),
            "GetTopic": _handler(grpc.unary_unary_rpc_method_handler, self._get_topic, "TopicRequest"),
        }
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(f"{_PACKAGE}.PubSub", made)])
        self.address = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        self._server.start()

    def close(self) -> None:
        self._closed.set()
        self._changes.cut()
        self._server.stop(0).wait()

    # --- calls -------------------------------------------------------------------------------------------------------

    def _get_schema(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._sign_in(context, "GetSchema")
        text = self._changes.schemas.get(request.schema_id)
        if text is None:
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "schema.not.found")
        return MESSAGES["SchemaInfo"](schema_json=text, schema_id=request.schema_id, rpc_id="rpc")

    def _get_topic(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._sign_in(context, "GetTopic")
        self._entity(request.topic_name, context)
        return MESSAGES["TopicInfo"](
            topic_name=request.topic_name, tenant_guid=ORG_ID, can_subscribe=self._settings.change_listening
        )

    def _subscribe(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        self._sign_in(context, "Subscribe")
        first = next(requests)
        entity = self._entity(first.topic_name, context)
        at = self._start(first, context)
        credit = _Credit(first.num_requested)
        threading.Thread(target=credit.read, args=(requests, self._changes), daemon=True).start()
        cuts, quiet_since = self._changes.cuts, time.monotonic()
        while context.is_active() and not self._closed.is_set():
            if cuts != self._changes.cuts:
                _refuse(context, grpc.StatusCode.UNAVAILABLE, "service.unavailable")
            if not 0 <= credit.left <= _MOST:
                _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "subscription.fetch.requested.events.invalid")
            events: list[Change] = []
            due = time.monotonic() - quiet_since >= self._settings.change_keepalive_seconds
            if not self._settings.change_silence:
                newest, room = self._changes.newest, credit.left
                events = self._changes.after(at, entity, room)
                if events or due:
                    if events:
                        at = events[-1].number
                    elif room:  # nothing up to there was for this listener
                        at = max(at, newest)
                    credit.spend(len(events))
                    quiet_since = time.monotonic()
                    yield _response(events, at, credit.left)
                    continue
            with self._changes.changed:
                self._changes.changed.wait(0.05)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _sign_in(self, context: grpc.ServicerContext, operation: str) -> None:
        told = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        whole = told.get("tenantid") == ORG_ID and told.get("instanceurl", "").startswith("https://")
        try:
            self._tokens.user_of(f"Bearer {told.get('accesstoken', '')}")
        except Refused:
            whole = False
        self._world.journal.record(
            vendor="salesforce",
            operation=f"pubsub.{operation}",
            method="POST",
            path=f"/{_PACKAGE}.PubSub/{operation}",
            status=200 if whole else 401,
            items=1,
        )
        if not whole:
            _refuse(context, grpc.StatusCode.UNAUTHENTICATED, "service.auth.error")

    def _entity(self, topic: str, context: grpc.ServicerContext) -> str | None:
        """The object a topic is about; None for all."""
        name = topic.removeprefix("/data/")
        if topic == "/data/ChangeEvents" or (name != topic and name.endswith("__chn")):
            return None
        entity = name.removesuffix("ChangeEvent")
        if name == topic or entity == name or not known(entity):
            _refuse(context, grpc.StatusCode.NOT_FOUND, "topic.not.found")
        return entity

    def _start(self, first: Any, context: grpc.ServicerContext) -> int:
        if first.replay_preset == _LATEST:
            return self._changes.newest
        if first.replay_preset == _EARLIEST:
            return self._changes.oldest
        number = self._changes.number_of(first.replay_id)
        if number is None:
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "subscription.fetch.replayid.validation.failed")
        return number


class _Credit:
    """How many events the listener still takes."""

    def __init__(self, first: int) -> None:
        self.left = first
        self._lock = threading.Lock()

    def spend(self, events: int) -> None:
        with self._lock:
            self.left -= events

    def read(self, requests: Iterator[Any], changes: Changes) -> None:
        try:
            for request in requests:
                with self._lock:
                    self.left += request.num_requested
                with changes.changed:
                    changes.changed.notify_all()
        except Exception:  # noqa: BLE001 - the listener is gone, however it went: gRPC's own exceptions have no name
            return


def _handler(make: Any, behaviour: Any, request: str) -> Any:
    return make(
        behaviour,
        request_deserializer=MESSAGES[request].FromString,
        response_serializer=lambda answer: answer.SerializeToString(),
    )


def _refuse(context: grpc.ServicerContext, status: grpc.StatusCode, code: str) -> NoReturn:
    context.set_trailing_metadata((("error-code", f"{_ERROR}.{code}"),))
    context.abort(status, f"{_ERROR}.{code}")
    raise AssertionError("abort raises")


def _response(events: list[Change], at: int, pending: int) -> Any:
    told = [
        MESSAGES["ConsumerEvent"](
            event=MESSAGES["ProducerEvent"](id=one.id, schema_id=one.schema_id, payload=one.payload),
            replay_id=one.replay,
        )
        for one in events
    ]
    return MESSAGES["FetchResponse"](
        events=told, latest_replay_id=place(at), rpc_id="rpc", pending_num_requested=pending
    )
