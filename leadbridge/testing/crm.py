"""What sync leans on, asked of every CRM: one suite for every room, over its own way of talking and a real server."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from connectors.base import Change, Crm, Outcome, Page, Progress
from leadbridge.clock import now
from leadbridge.errors import FeatureMissing, NeedsOperator, RetryLater, Unknown
from leadbridge.testing.stages import HASTY, CrmStage, Skipping, Trouble, TroubleKind
from leadbridge.types import Activity, Lead, Value

LONG_AGO = timedelta(days=3)


def ids(pages: Iterable[Page[Lead]]) -> list[str]:
    return [lead.ref.record_id for page in pages for lead in page.rows]


def wanted(number: int) -> dict[str, Value]:
    return {"score": number, "score.fit": 12.34, "grade": "B", "reasons": "known (+5)\npricing page (+8)"}


def changes_for(stage: CrmStage, room: Crm, record_ids: Iterable[str], number: int = 72) -> list[Change]:
    return [Change(stage.ref(one), room.changes(wanted(number), {})) for one in record_ids]


def keys(pages: Iterable[Page[Activity]]) -> list[tuple[str, str]]:
    return [(activity.source, activity.source_id) for page in pages for activity in page.rows]


ACTIONS: dict[str, Callable[[CrmStage, Crm, list[str]], object]] = {
    "pull": lambda stage, room, known: ids(room.pull_leads(None)),
    "read": lambda stage, room, known: room.read_leads(stage.refs(known)),
    "write": lambda stage, room, known: room.write(changes_for(stage, room, known)),
    "activities": lambda stage, room, known: list(room.pull_activities(next(iter(stage.page_sizes)), None)),
    "missing": lambda stage, room, known: room.missing(room.specs()) == [],
}
PASSING = {
    "429": Trouble("status", status=429),
    "429 with a wish": Trouble("status", status=429, headers={"Retry-After": "3"}),
    "423": Trouble("status", status=423),
    "500": Trouble("status", status=500),
    "503": Trouble("status", status=503),
    "502 html": Trouble("html", status=502),
    "html with 200": Trouble("html", status=200),
    "empty 200": Trouble("empty", status=200),
    "cut before": Trouble("reset_before"),
    "cut after": Trouble("reset_after"),
    "half an answer": Trouble("truncate"),
    "redirect": Trouble("empty", status=302, headers={"Location": "https://elsewhere.example/"}),
}


class CrmContract:
    """Subclass it as `TestAcme`, and give it a fixture `stage` that returns a fresh `CrmStage`."""

    @pytest.fixture
    def room(self, stage: CrmStage) -> Crm:
        room = stage.room()
        room.create(room.specs())
        return room

    # --- leads ---

    def test_a_full_pull_brings_every_lead_once_at_the_least_cost(self, stage: CrmStage, room: Crm) -> None:
        known = stage.add(250, at=now() - LONG_AGO)
        before = stage.reads()
        pages = list(room.pull_leads(None))
        assert sorted(ids(pages)) == sorted(known)
        assert stage.reads() - before == 3
        lead = pages[0].rows[0]
        assert lead.email == "lead0@acme.example"
        assert lead.attributes["job_title"] == "Title 0"
        assert lead.attributes["employees"] == 120
        assert lead.attributes["email_domain"] == "acme.example"
        assert lead.attributes["budget"] is None

    def test_a_full_pull_killed_after_any_page_goes_on_where_it_stood(self, stage: CrmStage, room: Crm) -> None:
        known = stage.add(250, at=now() - LONG_AGO)
        for survived in (1, 2):
            pages = []
            for page in room.pull_leads(None):
                pages.append(page)
                if len(pages) == survived:
                    break
            stage.edit(known[0], f"edited while we were dead {survived}")  # on a page already read
            before = stage.reads()
            pages += list(room.pull_leads(pages[-1].progress))
            assert set(ids(pages)) == set(known)
            assert stage.reads() - before == 3 - survived
            newest = {lead.ref.record_id: lead.attributes["job_title"] for page in pages for lead in page.rows}
            assert newest[known[0]] == f"edited while we were dead {survived}"

    def test_what_changed_since_comes_and_what_did_not_stays_away(self, stage: CrmStage, room: Crm) -> None:
        known = stage.add(120, at=now() - LONG_AGO)
        progress = list(room.pull_leads(None))[-1].progress
        stage.edit(known[7], "Chief of Everything")
        pages = list(room.pull_leads(progress))
        found = {lead.ref.record_id: lead.attributes["job_title"] for page in pages for lead in page.rows}
        assert found[known[7]] == "Chief of Everything"
        again = list(room.pull_leads(pages[-1].progress))
        assert set(ids(again)) <= {known[7]}  # the overlap may bring it once more, and nobody else

    def test_a_pull_of_changes_killed_after_any_page_misses_nothing(self, stage: CrmStage, room: Crm) -> None:
        known = stage.add(450, at=now() - LONG_AGO)
        progress: Progress = list(room.pull_leads(None))[-1].progress
        for one in known:
            stage.edit(one, "New title")
        pages: list[Page[Lead]] = []
        while not pages or pages[-1].progress != progress:  # every page is the last one its process lives to see
            progress = pages[-1].progress if pages else progress
            pages.append(next(iter(room.pull_leads(progress))))
            if set(ids(pages)) == set(known):
                break
            assert len(pages) < 10
        assert {lead.attributes["job_title"] for page in pages for lead in page.rows} == {"New title"}

    def test_a_full_pull_can_be_asked_for_again(self, stage: CrmStage, room: Crm) -> None:
        known = stage.add(30, at=now() - LONG_AGO)
        progress = list(room.pull_leads(None))[-1].progress
        assert set(ids(room.pull_leads(progress, full=True))) == set(known)

    def test_pulling_an_empty_account_is_no_trouble(self, stage: CrmStage, room: Crm) -> None:
        pages = list(room.pull_leads(None))
        assert ids(pages) == []
        late = stage.add(1)
        assert set(ids(room.pull_leads(pages[-1].progress if pages else None))) == set(late)  # repeats are possible

    def test_every_record_asked_for_is_found_gone_or_moved(self, stage: CrmStage, room: Crm) -> None:
        kept, one, other, archived, erased = stage.add(5)
        merged, losers = stage.merge(one, other)
        stage.archive(archived)
        stage.erase(erased)
        asked = [kept, one, other, archived, erased, stage.unknown, "not an id", kept]
        reading = room.read_leads(stage.refs(asked))
        assert {lead.ref.record_id for lead in reading.found} == {kept, merged}
        assert set(reading.gone) == set(stage.refs([archived, erased, stage.unknown, "not an id"]))
        assert reading.moved == dict.fromkeys(stage.refs(losers), stage.ref(merged))
        survivor = next(lead for lead in reading.found if lead.ref.record_id == merged)
        assert {alias.record_id for alias in survivor.aliases} == set(losers)

    def test_a_count_is_of_what_was_made_in_that_time_and_is_still_there(self, stage: CrmStage, room: Crm) -> None:
        made = now().replace(microsecond=0) - timedelta(days=40)
        known = stage.add(3, at=made)
        stage.archive(known[0])
        (kind,) = {ref.object_type for ref in stage.refs(known)}
        day = timedelta(days=1)
        spans = ((made - day, made), (made, made + day), (made + day, now()))
        assert [room.count(kind, *span) for span in spans] in ([0, 2, 0], [None] * 3)  # not every vendor counts

    def test_reading_costs_one_call_per_batch(self, stage: CrmStage, room: Crm) -> None:
        known = stage.add(230)
        room.read_leads(stage.refs(known[:1]))  # whatever is asked for once and kept
        before = stage.calls()
        assert len(room.read_leads(stage.refs(known)).found) == 230
        assert stage.calls() - before == stage.calls_to_read(230)

    # --- writing ---

    def test_writing_twice_is_writing_once(self, stage: CrmStage, room: Crm) -> None:
        known = stage.add(3)
        changes = changes_for(stage, room, known)
        for _ in range(2):
            settled = room.write(changes)
            assert {one.outcome for one in settled.values()} == {Outcome.WRITTEN}
            assert stage.held(known[0])[stage.score] == "72"
            assert stage.held(known[0])[stage.fit] == "12.3"

    def test_what_was_written_needs_no_second_write(self, stage: CrmStage, room: Crm) -> None:
        known = stage.add(1)
        room.write(changes_for(stage, room, known))
        held = room.read_leads(stage.refs(known)).found[0].written
        assert room.changes(wanted(72), held) == {}
        assert set(room.changes(wanted(73), held)) == {stage.score}

    def test_zero_is_a_value_and_a_value_that_is_no_more_is_cleared(self, stage: CrmStage, room: Crm) -> None:
        (one,) = stage.add(1)
        room.write(changes_for(stage, room, [one]))
        held = room.read_leads([stage.ref(one)]).found[0].written
        answers = room.write([Change(stage.ref(one), room.changes({"score": 0, "grade": None}, held))])
        assert [answer.outcome for answer in answers.values()] == [Outcome.WRITTEN]
        assert stage.held(one)[stage.score] == "0"
        assert not stage.held(one).get(stage.grade)
        assert room.changes({"score": 0, "grade": None}, room.read_leads([stage.ref(one)]).found[0].written) == {}

    def test_every_change_is_answered_for(self, stage: CrmStage, room: Crm) -> None:
        good, bad, one, other, archived, plain = stage.add(6)
        merged, losers = stage.merge(one, other)
        stage.archive(archived)
        changes = changes_for(stage, room, [good, losers[0], archived, plain, stage.unknown, "not an id"])
        changes.append(Change(stage.ref(bad), {**stage.bad, stage.score: "50"}))
        settled = {ref.record_id: answer for ref, answer in room.write(changes).items()}
        assert {record_id: answer.outcome for record_id, answer in settled.items()} == {
            good: Outcome.WRITTEN,
            plain: Outcome.WRITTEN,
            bad: Outcome.REFUSED,
            losers[0]: Outcome.MOVED,
            archived: Outcome.GONE,
            stage.unknown: Outcome.GONE,
            "not an id": Outcome.REFUSED,
        }
        assert settled[losers[0]].moved_to == stage.ref(merged)
        assert next(iter(stage.bad)) in settled[bad].reason
        assert stage.held(good)[stage.score] == "72"
        assert stage.score not in stage.held(bad)

    def test_a_whole_refusal_is_taken_apart(self, stage: CrmStage, room: Crm) -> None:
        """400 for the batch and for its first half; nobody is left without an answer, nobody is refused for another."""
        known = stage.add(8)
        stage.trouble(Trouble("status", writing=True, status=400, times=2))
        settled = room.write(changes_for(stage, room, known))
        assert [settled[stage.ref(one)].outcome for one in known] == [Outcome.WRITTEN] * 8

    def test_writing_costs_one_call_per_batch(self, stage: CrmStage, room: Crm) -> None:
        known = stage.add(250)
        before = stage.calls()
        settled = room.write(changes_for(stage, room, known))
        assert len(settled) == 250
        assert stage.calls() - before == -(-250 // room.write_batch)

    def test_a_backlog_is_written_like_a_few(self, stage: CrmStage, room: Crm) -> None:
        known = stage.add(205)
        settled = room.write_many(changes_for(stage, room, known, 10), lambda: None)
        assert {settled[stage.ref(one)].outcome for one in known} == {Outcome.WRITTEN}
        assert {stage.held(one)[stage.score] for one in known} == {"10"}

    def test_one_record_named_twice_gets_the_later_value(self, stage: CrmStage, room: Crm) -> None:
        (one,) = stage.add(1)
        settled = room.write([*changes_for(stage, room, [one], 10), *changes_for(stage, room, [one], 20)])
        assert settled[stage.ref(one)].outcome is Outcome.WRITTEN
        assert stage.held(one)[stage.score] == "20"

    def test_a_missing_property_stops_the_writing_and_names_its_cure(self, stage: CrmStage, room: Crm) -> None:
        known = stage.add(60)
        stage.lose_property(stage.grade)
        before = stage.calls()
        with pytest.raises(NeedsOperator, match=rf"{stage.grade}.*leadbridge apply"):
            room.write(changes_for(stage, room, known))
        assert stage.calls() - before == 1

    def test_writing_nothing_asks_nothing(self, stage: CrmStage, room: Crm) -> None:
        before = stage.calls()
        assert room.write([]) == {}
        assert room.read_leads([]).found == []
        assert stage.calls() == before

    # --- properties ---

    def test_what_is_missing_is_created_and_repeating_changes_nothing(self, stage: CrmStage) -> None:
        room = stage.room()
        assert [spec.name for spec in room.missing(room.specs())] == [spec.name for spec in room.specs()]
        room.create(room.specs())
        assert room.missing(room.specs()) == []
        before = stage.properties()
        room.create(room.specs())
        assert stage.properties() == before

    # --- activity ---

    def test_a_stream_killed_after_any_page_misses_nothing(self, stage: CrmStage, room: Crm) -> None:
        (one,) = stage.add(1)
        for stream, size in stage.page_sizes.items():
            count = size + 5
            stage.act(stream, one, count, now())
            whole = list(room.pull_activities(stream, None))
            assert len(whole) > 1, stream
            assert len(set(keys(whole))) == count, stream
            assert {activity.source for page in whole for activity in page.rows} == {f"{stage.vendor}.{stream}"}
            killed: list[Page[Activity]] = []
            progress: Progress | None = None
            while set(keys(killed)) != set(keys(whole)):  # each process sees one page
                assert len(killed) < count, stream  # parts that are read at once may share a page, so pages vary
                killed.append(next(iter(room.pull_activities(stream, progress))))
                progress = killed[-1].progress

    def test_a_stream_brings_what_is_new_and_not_all_again(self, stage: CrmStage, room: Crm) -> None:
        (one,) = stage.add(1)
        for stream in stage.page_sizes:
            stage.act(stream, one, 3, now() - timedelta(days=4))
            progress = list(room.pull_activities(stream, None))[-1].progress
            stage.act(stream, one, 2, now())
            pages = list(room.pull_activities(stream, progress))
            new = {a.source_id for page in pages for a in page.rows if a.at > now() - timedelta(hours=1)}
            assert len(new) == 2, stream
            if stream not in stage.dated_by_edit:
                assert len(keys(pages)) == 2, stream

    def test_every_configured_stream_can_be_pulled_from_an_empty_account(self, stage: CrmStage, room: Crm) -> None:
        assert tuple(room.streams()) == tuple(stage.streams)
        for stream in room.streams():
            pages = list(room.pull_activities(stream, None))
            assert keys(pages) == []
            progress = pages[-1].progress if pages else None
            assert keys(room.pull_activities(stream, progress)) == []

    def test_a_source_the_account_lacks_is_named_so(self, stage: CrmStage, room: Crm) -> None:
        stream = stage.lack_a_source()
        with pytest.raises(FeatureMissing):
            list(room.pull_activities(stream, None))

    @pytest.mark.parametrize("trouble", PASSING)
    def test_trouble_that_passes_is_waited_out(self, stage: CrmStage, room: Crm, trouble: str) -> None:
        known = stage.add(3)
        stage.act(next(iter(stage.page_sizes)), known[0], 1, now())
        for name, action in ACTIONS.items():
            fault = PASSING[trouble]
            stage.trouble(Trouble(fault.kind, status=fault.status, headers=dict(fault.headers), times=1))
            assert action(stage, room, known), name
        assert stage.held(known[2])[stage.score] == "72"

    @pytest.mark.parametrize("action", ["pull", "read", "write", "activities"])
    @pytest.mark.parametrize("kind", ["status", "html", "reset_before", "hang"])
    def test_trouble_that_stays_is_told_in_time(self, stage: CrmStage, kind: TroubleKind, action: str) -> None:
        hang, skipping = 30.0, Skipping()
        room, known = stage.room(skipping.pace(replace(HASTY, tries=2))), stage.add(3)
        stage.trouble(Trouble(kind, status=503, seconds=hang, times=100))
        begin = time.monotonic()
        with pytest.raises(RetryLater):
            ACTIONS[action](stage, room, known)
        assert len(skipping.waits) == 1  # between the two tries of one call: nothing else is asked
        assert time.monotonic() - begin < hang

    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_refused_key_needs_an_operator_and_is_in_no_text(self, stage: CrmStage, action: str) -> None:
        secret = "pat-na1-99999999-aaaa-bbbb-cccc-dddddddddddd"
        connection: dict[str, Any] = {stage.credential: secret}
        room, known = stage.room(**connection), stage.add(2)
        with pytest.raises(NeedsOperator) as caught:
            ACTIONS[action](stage, room, known)
        assert secret not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
        assert caught.value.__context__ is None

    def test_no_address_of_a_lead_is_in_an_error(self, stage: CrmStage, room: Crm) -> None:
        (one,) = stage.add(1)
        settled = room.write([Change(stage.ref(one), {stage.score: "dana@acme.example"})])
        answer = settled[stage.ref(one)]
        assert answer.outcome is Outcome.REFUSED
        assert "acme.example" not in answer.reason

    def test_part_of_the_work_is_never_thrown_away(self, stage: CrmStage, room: Crm) -> None:
        """Three batches, and the vendor dies in the second: the first is told, the others are to be tried again."""
        batch = room.write_batch
        known = stage.add(2 * batch + 50)
        stage.trouble(Trouble("status", writing=True, status=503, times=100, skip=1))
        settled = room.write(changes_for(stage, room, known))
        outcomes = [settled[stage.ref(one)].outcome for one in known]
        assert outcomes == [Outcome.WRITTEN] * batch + [Outcome.UNANSWERED] * (batch + 50)

    def test_a_limit_is_answered_with_patience_not_with_a_storm(self, stage: CrmStage) -> None:
        clock = Skipping()
        room = stage.room(clock.pace())
        stage.add(2)
        stage.trouble(Trouble("status", status=429, times=2))
        assert len(ids(room.pull_leads(None))) == 2
        assert len(clock.waits) >= 2
        assert sum(clock.waits) >= 2 * stage.rest  # HubSpot's ten-second limit: it sends no Retry-After

    def test_an_unknown_outcome_is_told_as_such(self, stage: CrmStage) -> None:
        room, known = stage.room(), stage.add(1)
        stage.trouble(Trouble("reset_after", times=100))
        with pytest.raises(Unknown):
            room.write([Change(stage.ref(known[0]), {stage.title: "x"})])

    def test_pages_hold_progress_that_can_be_stored(self, stage: CrmStage, room: Crm) -> None:
        stage.add(120, at=now() - LONG_AGO)
        pages = list(room.pull_leads(None))
        assert all(isinstance(text, str) for page in pages for pair in page.progress.items() for text in pair)
        assert all(one.progress != other.progress for one, other in pairwise(pages))
