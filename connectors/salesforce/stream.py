"""Listening to Change Data Capture over the Pub/Sub API (vendors/salesforce.md, section 6.4).

gRPC and Avro are an optional extra, and heavy: they are imported when the first stream begins.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import queue
import re
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from connectors.base import Heard, Progress
from connectors.deliveries.salesforce import of_change, of_changes, of_unreadable
from connectors.salesforce.change_events import read_change
from connectors.salesforce.ids import long_id
from connectors.salesforce.wire import CLIENT, VENDOR
from leadbridge import logs, reach
from leadbridge.config.connections import SalesforceConnection
from leadbridge.errors import ConfigError, Fault, NeedsOperator, RetryLater, VendorError

if TYPE_CHECKING:
    import grpc

    from connectors.salesforce.auth import Api, Grant
    from connectors.salesforce.pubsub.pubsub_api_pb2 import ConsumerEvent, FetchRequest, FetchResponse

log = logs.logger(__name__)

OUTSTANDING = 100
"""Events asked for and not yet come: the most Salesforce allows, and the most we ever hold."""

SILENCE = 330.0
"""Seconds without a word after which a stream is given up; a sign of life is due every 270."""

ANSWER = 30.0
"""Seconds a schema may take."""

LARGEST = 8 * 1024 * 1024
"""Bytes of a message; Salesforce's are 4 MB at most."""

MOST_SCHEMAS = 200

_SERVICE = "/eventbus.v1.PubSub"
_EXTRA = ("grpc", "google.protobuf", "fastavro")
_OPERATION = "events.subscribe"
_HERE = re.compile(r"(localhost|127\.\d+\.\d+\.\d+):\d+")


def require_extra() -> None:
    """Raise ConfigError unless what listening needs is installed."""

    def there(name: str) -> bool:
        try:
            return importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:  # of the package it is in
            return False

    if not all(there(name) for name in _EXTRA):
        cure = "install leadbridge[salesforce-events], or leave change_events out"
        what = "needs gRPC and Avro, which are not installed"
        raise ConfigError("configuration", [Fault(0, "connections.salesforce.change_events", what, cure)])


_USUAL: str = SalesforceConnection.model_fields["pubsub"].default


class PositionLost(Exception):
    """Salesforce no longer has, or never had, the place we want to go on from."""


@dataclass(frozen=True, slots=True)
class _Schema:
    told: Mapping[str, Any]
    parsed: Any  # fastavro's form


class Stream:
    """One channel of one org. One listener at a time: the caller sees to that."""

    def __init__(self, api: Api, connection: SalesforceConnection, ours: Collection[str]) -> None:
        """`ours`: fields that leadbridge writes."""
        self._api = api
        self._connection = connection
        self._ours = frozenset(ours)
        self._silence = SILENCE
        self._schemas: dict[str, _Schema] = {}
        self._renewed = False  # the token in use was fetched because one was refused, and none has worked since

    def listen(self, progress: Progress | None, stop: threading.Event) -> Generator[Heard, None, None]:
        """See `Crm.listen`.

        After an expired place it goes on from the newest: to be told three days again would use up what the org may be
        told in a day, and a pull reads the same. That the pull is due is said twice, at once and when the new place is
        known, so that nothing falls between the two.
        """
        place = base64.b64decode((progress or {}).get("replay", ""))
        try:
            yield from self._subscribed(place, stop, missed="")
        except PositionLost:
            missed = "the place in the change stream has expired"
            log.warning("change stream begins anew", vendor=VENDOR, why=missed)
            yield Heard(progress or {}, missed=missed)
        else:
            return
        try:
            yield from self._subscribed(b"", stop, missed=missed)
        except PositionLost:
            problem = RetryLater(VENDOR, _OPERATION, "the newest place is refused")
        else:
            return
        raise problem

    def check(self) -> None:
        """Ask whether the channel is there and our user may listen. Raises VendorError, NeedsOperator with the cure."""
        import grpc

        from connectors.salesforce.pubsub import pubsub_api_pb2 as pb

        topic = self._connection.change_topic
        for last in (False, True):  # once more with a fresh token
            grant = self._api.grant()
            with self._channel() as channel:
                get = channel.unary_unary(
                    f"{_SERVICE}/GetTopic",
                    request_serializer=pb.TopicRequest.SerializeToString,
                    response_deserializer=pb.TopicInfo.FromString,
                )
                try:
                    told = get(pb.TopicRequest(topic_name=topic), metadata=_signed(grant), timeout=ANSWER)
                except grpc.RpcError as error:
                    problem = self._problem(error, grant, silent=False)
                else:
                    self._renewed = False
                    if told.can_subscribe:
                        return
                    cure = "let our user view all records of the objects selected under Setup, Change Data Capture"
                    problem = NeedsOperator(VENDOR, _OPERATION, f"our user may not listen to {topic}; {cure}")
            if last or not self._renewed:
                raise problem

    def _subscribed(self, place: bytes, stop: threading.Event, *, missed: str) -> Generator[Heard, None, None]:
        from connectors.salesforce.pubsub import pubsub_api_pb2 as pb

        grant = self._api.grant()
        first = pb.FetchRequest(
            topic_name=self._connection.change_topic,
            replay_preset=pb.CUSTOM if place else pb.LATEST,
            replay_id=place,
            num_requested=OUTSTANDING,
        )
        requests, awaited = _Requests(first), OUTSTANDING
        try:
            opened = self._channel()
        except reach.InsideAddress as error:
            cure = "if it is meant, name that address as connections.salesforce.pubsub"
            raise NeedsOperator(VENDOR, _OPERATION, f"{error}; {cure}") from None
        except OSError:
            raise RetryLater(VENDOR, _OPERATION, "the name of the stream's host is not known") from None
        with opened as channel, requests:
            subscribe = channel.stream_stream(
                f"{_SERVICE}/Subscribe",
                request_serializer=pb.FetchRequest.SerializeToString,
                response_deserializer=pb.FetchResponse.FromString,
            )
            call = subscribe(iter(requests), metadata=_signed(grant))
            watch = _Watch(call.cancel, stop, self._silence)
            while (message := self._next(call, grant, watch)) is not None:
                self._renewed = False
                yield self._heard(message, grant, channel, missed)
                missed = ""
                awaited -= len(message.events)
                if awaited <= OUTSTANDING // 2:  # only what is stored makes room for more
                    requests.ask(pb.FetchRequest(num_requested=OUTSTANDING - awaited))
                    awaited = OUTSTANDING

    def _channel(self) -> grpc.Channel:
        import grpc

        target: str = self._connection.pubsub
        options = [
            ("grpc.max_receive_message_length", LARGEST),
            ("grpc.primary_user_agent", CLIENT),
            ("grpc.enable_http_proxy", 0),
        ]
        if _HERE.fullmatch(target):  # tokens leave this machine by TLS only
            return grpc.insecure_channel(target, options)
        if target == _USUAL:  # another was named by the configuration, wherever it is (`leadbridge.reach`)
            host, _, port = target.rpartition(":")
            addresses = reach.outside(host, int(port))
            kind = "ipv6" if ":" in addresses[0] else "ipv4"
            shown = [f"[{address}]" if kind == "ipv6" else address for address in addresses]
            options += [("grpc.ssl_target_name_override", host), ("grpc.default_authority", target)]
            target = f"{kind}:{','.join(f'{address}:{port}' for address in shown)}"
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(), options)

    def _next(self, call: Iterator[FetchResponse], grant: Grant, watch: _Watch) -> FetchResponse | None:
        """The next message; None when we are to stop. Raises VendorError and PositionLost."""
        import grpc

        if watch.stopped():
            return None
        try:
            with watch.waiting():
                return next(call)
        except StopIteration:
            problem: VendorError = RetryLater(VENDOR, _OPERATION, "Salesforce ended the stream")
        except grpc.RpcError as error:
            if watch.stopped():
                return None
            problem = self._problem(error, grant, silent=watch.silent)
        raise problem

    def _problem(self, error: object, grant: Grant, *, silent: bool) -> VendorError:
        """What an error of the stream means for whoever listens. Raises PositionLost."""
        import grpc

        if silent:
            return RetryLater(VENDOR, _OPERATION, f"no sign of life for {self._silence:.0f} s")
        if not isinstance(error, grpc.Call):
            return RetryLater(VENDOR, _OPERATION, "the stream broke")
        status, words = error.code(), _error_code(error)
        if "replayid" in words.lower():
            raise PositionLost
        told = f"{status.name} {words or error.details() or ''}".strip()
        if status is grpc.StatusCode.UNAUTHENTICATED:
            if self._renewed:
                cure = "check the app, its user and the domain"
                return NeedsOperator(VENDOR, _OPERATION, f"a fresh token is not accepted ({told}); {cure}")
            self._api.grant(instead_of=grant)
            self._renewed = True
            return RetryLater(VENDOR, _OPERATION, "the token has expired", after=0.0)
        if status in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
            cure = "select the objects under Setup, Change Data Capture, and let our user view all their records"
            return NeedsOperator(VENDOR, _OPERATION, f"{self._connection.change_topic} is refused ({told}); {cure}")
        return RetryLater(VENDOR, _OPERATION, f"the stream broke ({told})")

    # --- what a message tells ----------------------------------------------------------------------------------------

    def _heard(self, message: FetchResponse, grant: Grant, channel: grpc.Channel, missed: str) -> Heard:
        parts: list[Mapping[str, Any]] = []
        reasons = [missed] if missed else []
        organization = long_id(grant.organization) or grant.organization
        echoes, place = 0, message.latest_replay_id
        for one in message.events:
            place = one.replay_id
            schema = self._schema(one.event.schema_id, grant, channel)
            try:
                change = read_change(_decoded(one, schema), schema.told if schema else {})
            except Exception as odd:  # noqa: BLE001 - whatever bytes can do to their reader, they do to themselves only
                log.warning("change event cannot be read", vendor=VENDOR, why=type(odd).__name__)
                parts.append(of_unreadable(organization, one.event.id, one.event.payload))
                reasons.append("an event could not be read")
                continue
            if change.is_echo(CLIENT, grant.user, self._ours):
                echoes += 1
                continue
            parts += of_change(organization, one.event.id, change.entity, change.records, change.kind, change.at)
            if change.missed:
                reasons.append(change.missed)
        progress = {"replay": base64.b64encode(place).decode()}
        return Heard(progress, of_changes(parts), echoes, "; ".join(dict.fromkeys(reasons)))

    def _schema(self, schema_id: str, grant: Grant, channel: grpc.Channel) -> _Schema | None:
        """The schema of this id, asked for once; None when Salesforce does not know it. Raises VendorError."""
        import fastavro
        import grpc

        from connectors.salesforce.pubsub import pubsub_api_pb2 as pb

        if (known := self._schemas.get(schema_id)) is not None:
            return known
        get = channel.unary_unary(
            f"{_SERVICE}/GetSchema",
            request_serializer=pb.SchemaRequest.SerializeToString,
            response_deserializer=pb.SchemaInfo.FromString,
        )
        try:
            answer = get(pb.SchemaRequest(schema_id=schema_id), metadata=_signed(grant), timeout=ANSWER)
        except grpc.RpcError as error:
            if _status(error) in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
                return None
            problem = self._problem(error, grant, silent=False)
        else:
            try:
                told = json.loads(answer.schema_json)
                found = _Schema(told, fastavro.parse_schema(told))
            except Exception:  # noqa: BLE001 - a schema that is none makes its events unreadable, and nothing else
                return None
            if len(self._schemas) >= MOST_SCHEMAS:
                self._schemas.clear()
            return self._schemas.setdefault(schema_id, found)
        raise problem


def _decoded(one: ConsumerEvent, schema: _Schema | None) -> Mapping[str, Any]:
    import fastavro

    if schema is None:
        raise ValueError("its schema is not known")
    record = fastavro.schemaless_reader(BytesIO(one.event.payload), schema.parsed, None)
    if not isinstance(record, Mapping):
        raise ValueError("no record")  # noqa: TRY004 - as in `read_change`
    return record


def _signed(grant: Grant) -> tuple[tuple[str, str], ...]:
    """Who calls: names in lower case, the org's id in 18 characters, the address with its scheme."""
    organization = long_id(grant.organization) or grant.organization
    return (("accesstoken", grant.token), ("instanceurl", f"https://{grant.host}"), ("tenantid", organization))


def _status(error: object) -> grpc.StatusCode | None:
    import grpc

    return error.code() if isinstance(error, grpc.Call) else None


def _error_code(error: grpc.Call) -> str:
    """Salesforce's own word for what is wrong, from the trailers."""
    for key, value in error.trailing_metadata() or ():
        if key == "error-code":
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return ""


class _Requests:
    """What we send: read by gRPC in a thread of its own, until the block ends."""

    def __init__(self, first: FetchRequest) -> None:
        self._waiting: queue.SimpleQueue[FetchRequest | None] = queue.SimpleQueue()
        self._waiting.put(first)

    def ask(self, request: FetchRequest) -> None:
        self._waiting.put(request)

    def __iter__(self) -> Iterator[FetchRequest]:
        while (request := self._waiting.get()) is not None:
            yield request

    def __enter__(self) -> _Requests:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)


@dataclass(slots=True)
class _Watch:
    """Ends a wait for the next message when we are to stop, or when nothing was heard for too long."""

    cancel: Callable[[], object]
    stop: threading.Event
    silence: float
    silent: bool = False
    look_every: float = field(default=0.2)

    def stopped(self) -> bool:
        return self.stop.is_set()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        over = threading.Event()
        since = time.monotonic()

        def watch() -> None:
            while not over.wait(self.look_every):
                self.silent = time.monotonic() - since >= self.silence
                if self.silent or self.stopped():
                    self.cancel()
                    return

        thread = threading.Thread(target=watch, name="change stream", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
