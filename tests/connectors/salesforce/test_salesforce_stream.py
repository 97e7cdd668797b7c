"""The change stream over real gRPC: nothing is missed without a word (G11-G13, fault 21)."""

import json
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from connectors.base import Heard, Progress
from connectors.salesforce import stream as streaming
from connectors.salesforce.connector import Salesforce
from leadbridge.errors import ConfigError, NeedsOperator, RetryLater
from leadbridge.sandbox import salesforce as stand_in
from leadbridge.sandbox.server import Sandbox
from tests.helpers import rooms

Listening = Generator[Heard, None, None]


@pytest.fixture
def listen(sandbox: Sandbox, org: stand_in.Salesforce) -> Iterator[Callable[..., Listening]]:
    stop = threading.Event()
    opened: list[Listening] = []
    address = org.serve_events()
    org.settings.change_keepalive_seconds = 0.05

    def begin(progress: Progress | None = None, room: Salesforce | None = None, **connection: Any) -> Listening:
        found = room or a_listener(sandbox, pubsub=address, **connection)
        opened.append(found.listen(progress, stop))
        return opened[-1]

    yield begin
    stop.set()
    for one in opened:
        one.close()


def a_listener(sandbox: Sandbox, **connection: Any) -> Salesforce:
    return rooms.salesforce(rooms.configuration(sandbox.url, salesforce={"change_events": True, **connection}))


def a_lead(org: stand_in.Salesforce, n: int = 1) -> str:
    return org.add("Lead", {"LastName": f"L{n}", "Company": "Acme", "Email": f"l{n}@acme.example"})


def told(heard: Heard) -> list[tuple[str, str, str]]:
    parts = [part for body, _ in heard.deliveries for part in json.loads(body)]
    return [(part["type"], part["record"], part["event"]) for part in parts]


def until_told(listening: Listening) -> Heard:
    return next(heard for heard in listening if heard.deliveries or heard.missed or heard.echoes)


def test_what_people_do_is_told_with_its_records(org: stand_in.Salesforce, listen: Callable[..., Listening]) -> None:
    one, listening = a_lead(org), listen()
    next(listening)
    org.edit(one, {"FirstName": "Ada", "Title": "Head"})
    assert told(until_told(listening)) == [("Lead", one, "UPDATE")]
    org.delete(one)
    assert told(until_told(listening)) == [("Lead", one, "DELETE")]


def test_listening_goes_on_from_where_it_stood(org: stand_in.Salesforce, listen: Callable[..., Listening]) -> None:
    one, listening = a_lead(org), listen()
    place = next(listening).progress
    listening.close()
    for title in ("a", "b", "c"):
        org.edit(one, {"Title": title})
    heard = until_told(listen(place))
    assert len(told(heard)) == 3
    again = listen(heard.progress)
    assert not next(again).deliveries


def test_our_own_writes_are_left_out_and_what_others_write_is_not(
    sandbox: Sandbox, org: stand_in.Salesforce, listen: Callable[..., Listening]
) -> None:
    from connectors.base import Change
    from leadbridge.types import RecordRef

    room = a_listener(sandbox, pubsub=org.serve_events())
    room.create(room.specs())
    one, listening = a_lead(org), listen(room=room)
    next(listening)
    room.write([Change(RecordRef("salesforce", "Lead", one), {"Leadbridge_Score__c": "42"})])
    heard = until_told(listening)
    assert (heard.echoes, heard.deliveries) == (1, [])
    rooms.salesforce_api(sandbox, "PATCH", f"/sobjects/Lead/{one}", {"Leadbridge_Score__c": 7})
    assert told(until_told(listening)) == [("Lead", one, "UPDATE")]


def test_more_is_told_than_may_be_on_its_way(org: stand_in.Salesforce, listen: Callable[..., Listening]) -> None:
    one, listening = a_lead(org), listen()
    place = next(listening).progress
    for n in range(230):
        org.edit(one, {"Title": f"t{n}"})
    listening.close()
    listening, found = listen(place), 0
    while found < 230:
        found += len(told(next(listening)))
    assert found == 230


def test_one_event_about_many_records_is_told_of_each(
    sandbox: Sandbox, org: stand_in.Salesforce, listen: Callable[..., Listening]
) -> None:
    known, listening = [a_lead(org, n) for n in range(5)], listen()
    next(listening)
    rows = [{"attributes": {"type": "Lead"}, "id": one, "Title": "Head"} for one in known]
    rooms.salesforce_api(sandbox, "PATCH", "/composite/sobjects", {"records": rows})
    heard = until_told(listening)
    assert sorted(record for _, record, _ in told(heard)) == sorted(known)


@pytest.mark.parametrize(
    ("kind", "records"), [("GAP_UPDATE", ["00Q*"]), ("GAP_OVERFLOW", ["000000000000000AAA"]), ("GAP_CREATE", [])]
)
def test_what_names_no_record_is_a_gap(
    org: stand_in.Salesforce, listen: Callable[..., Listening], kind: str, records: list[str]
) -> None:
    listening = listen()
    next(listening)
    org.tell_gap("Lead", kind, records)
    heard = until_told(listening)
    assert heard.missed
    assert not heard.deliveries


def test_a_gap_that_names_its_records_has_them_read(org: stand_in.Salesforce, listen: Callable[..., Listening]) -> None:
    one, listening = a_lead(org), listen()
    next(listening)
    org.settings.change_gaps = True
    org.edit(one, {"Title": "Head"})
    heard = until_told(listening)
    assert (told(heard), heard.missed) == ([("Lead", one, "GAP_UPDATE")], "")


def test_a_transaction_too_large_to_be_told_is_a_gap(
    sandbox: Sandbox, org: stand_in.Salesforce, listen: Callable[..., Listening]
) -> None:
    org.settings.change_overflow_above = 2
    known, listening = [a_lead(org, n) for n in range(3)], listen()
    next(listening)
    rows = [{"attributes": {"type": "Lead"}, "id": one, "Title": one} for one in known]
    rooms.salesforce_api(sandbox, "PATCH", "/composite/sobjects", {"records": rows})
    assert "GAP_OVERFLOW" in until_told(listening).missed


def test_an_expired_place_is_a_gap_until_a_new_one_is_known(
    org: stand_in.Salesforce, listen: Callable[..., Listening]
) -> None:
    one, listening = a_lead(org), listen()
    old = next(listening).progress
    listening.close()
    org.edit(one, {"Title": "lost"})
    org.expire_positions()
    listening = listen(old)
    first, second = next(listening), next(listening)
    assert (bool(first.missed), first.progress) == (True, old)
    assert (bool(second.missed), second.progress != old) == (True, True)
    assert not next(listening).missed
    org.edit(one, {"Title": "heard"})
    assert told(until_told(listening)) == [("Lead", one, "UPDATE")]


def test_after_three_days_a_place_has_expired(
    sandbox: Sandbox, org: stand_in.Salesforce, listen: Callable[..., Listening]
) -> None:
    from datetime import timedelta

    one, listening = a_lead(org), listen()
    place = next(listening).progress
    listening.close()
    org.edit(one, {"Title": "a"})
    sandbox.world.clock.advance(timedelta(hours=71))
    assert len(told(until_told(listen(place)))) == 1
    sandbox.world.clock.advance(timedelta(hours=2))
    assert next(listen(place)).missed


def test_an_event_that_cannot_be_read_is_kept_and_a_gap(
    org: stand_in.Salesforce, listen: Callable[..., Listening]
) -> None:
    from datetime import UTC, datetime

    from connectors.deliveries import split
    from connectors.deliveries.reading import Unfit

    one, listening = a_lead(org), listen()
    place = next(listening).progress
    listening.close()
    org.tell_garbage("Lead")
    org.edit(one, {"Title": "Head"})
    heard = until_told(listen(place))
    assert heard.missed
    [(body, count)] = heard.deliveries
    parts = split("salesforce", body, org.organization_id, datetime.now(UTC))
    assert count == 2
    assert [isinstance(part, Unfit) for part in parts] == [True, False]


def test_a_broken_stream_is_to_be_listened_to_again(org: stand_in.Salesforce, listen: Callable[..., Listening]) -> None:
    one, listening = a_lead(org), listen()
    place = next(listening).progress
    org.cut_streams()
    with pytest.raises(RetryLater):
        list(listening)
    org.edit(one, {"Title": "Head"})
    assert told(until_told(listen(place))) == [("Lead", one, "UPDATE")]


def test_silence_ends_a_stream(
    sandbox: Sandbox, org: stand_in.Salesforce, listen: Callable[..., Listening], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = a_listener(sandbox, pubsub=org.serve_events())
    assert room._stream is not None
    room._stream._silence = 0.3
    listening = listen(room=room)
    next(listening)
    org.settings.change_silence = True
    with pytest.raises(RetryLater, match="no sign of life"):
        list(listening)


def test_an_expired_token_is_renewed_once_and_then_needs_an_operator(
    sandbox: Sandbox, org: stand_in.Salesforce, listen: Callable[..., Listening]
) -> None:
    room = a_listener(sandbox, pubsub=org.serve_events())
    next(listen(room=room))
    org.end_sessions()
    with pytest.raises(RetryLater, match="token"):
        next(listen(room=room))
    next(listen(room=room))
    org.end_sessions()
    org.settings.rest_scope = False
    with pytest.raises(RetryLater, match="token"):
        next(listen(room=room))
    with pytest.raises(NeedsOperator):
        next(listen(room=room))


def test_a_channel_that_is_not_there_needs_an_operator(listen: Callable[..., Listening]) -> None:
    with pytest.raises(NeedsOperator, match="Change Data Capture"):
        next(listen(change_topic="/data/NoSuchThing"))


def test_listening_ends_when_told(org: stand_in.Salesforce, sandbox: Sandbox) -> None:
    stop = threading.Event()
    room = a_listener(sandbox, pubsub=org.serve_events())
    org.settings.change_keepalive_seconds = 0.05
    listening = room.listen(None, stop)
    next(listening)
    org.settings.change_silence = True
    threading.Timer(0.1, stop.set).start()
    assert [heard for heard in listening if heard.deliveries] == []


def test_without_the_extra_the_cure_is_said(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_EXTRA", ("grpc", "no_such_package.avro"))
    with pytest.raises(ConfigError, match=r"leadbridge\[salesforce-events\]"):
        a_listener(sandbox)
    a_listener(sandbox, change_events=False)


@pytest.mark.parametrize(
    ("pubsub", "plain"), [("127.0.0.1:1", True), ("localhost:1", True), ("127.evil.example:1", False)]
)
def test_a_token_leaves_this_machine_by_tls_only(pubsub: str, plain: bool) -> None:
    assert (streaming._HERE.fullmatch(pubsub) is not None) is plain


# --- `check --live` asks before anybody listens ----------------------------------------------------------------------


def stream_faults(sandbox: Sandbox, **connection: Any) -> list[str]:
    room = a_listener(sandbox, pubsub=sandbox.salesforce.serve_events(), **connection)
    return [str(one) for one in room.faults() if one.where == "connections.salesforce.change_topic"]


def test_a_channel_that_is_there_and_open_to_us_is_no_fault(sandbox: Sandbox, org: stand_in.Salesforce) -> None:
    assert stream_faults(sandbox) == []
    org.end_sessions()
    assert stream_faults(sandbox, change_topic="/data/LeadChangeEvent") == []
    asked = [call.operation for call in sandbox.world.journal if call.operation.startswith("pubsub")]
    assert set(asked) == {"pubsub.GetTopic"}


def test_a_channel_that_nobody_knows_or_we_may_not_hear_is_told(sandbox: Sandbox, org: stand_in.Salesforce) -> None:
    (fault,) = stream_faults(sandbox, change_topic="/data/Nothing")
    assert "/data/Nothing is refused" in fault
    assert "Change Data Capture" in fault
    org.settings.change_listening = False
    (fault,) = stream_faults(sandbox)
    assert "may not listen to /data/ChangeEvents" in fault


def test_a_token_that_ended_is_no_fault_of_the_channel(sandbox: Sandbox, org: stand_in.Salesforce) -> None:
    room = a_listener(sandbox, pubsub=org.serve_events())
    room.account()
    org.end_sessions()
    assert room._stream is not None
    room._stream.check()
