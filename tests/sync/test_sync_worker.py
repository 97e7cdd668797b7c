"""The worker goes on whatever befalls it, and ends when it is told to (reliability G10, G13, G14, G26, G31, G32)."""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leadbridge import clock, demo
from leadbridge.sandbox import people
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from leadbridge.starting import example
from leadbridge.store import Store, gaps, inbox, open_store
from sync import cycle, pull
from sync.worker import Worker
from tests.helpers.syncing import TAG, Stage, journey, stage
from tests.helpers.tally import Tally
from tests.helpers.waiting import LONG, quickest, until

# --- the loop of the worker ------------------------------------------------------------------------------------------


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    with stage(store, journey(TAG)) as found:
        yield found


@contextlib.contextmanager
def working(made: Stage, **options: Any) -> Iterator[Worker]:
    made.parts.stop = threading.Event()
    worker = Worker(made.parts, **({"sweep": 0.05} | options))
    worker.start()
    try:
        yield worker
    finally:
        assert worker.stop()


def test_a_broken_round_does_not_end_the_worker(made: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    record = made.lead()
    whole, broken = cycle.act, [ZeroDivisionError(), KeyError("x")]

    def breaks(*given: Any, **more: Any) -> Any:
        if broken:
            raise broken.pop()
        return whole(*given, **more)

    monkeypatch.setattr(cycle, "act", breaks)
    with working(made):
        until(lambda: made.held(record).get("leadbridge_score") == "15")


def test_before_everything_was_read_once_nobody_is_scored_written_or_contacted(made: Stage) -> None:
    """Half the facts make a wrong score, and a wrong score a wrong mail."""
    record = made.lead("ada@acme.example")
    made.fault("status", "members.list", status=503, times=40)  # who left cannot be read
    with working(made, pull_every=0.2) as worker:
        until(lambda: worker.rounds > 3)
        assert made.effects("property_changed", "journey_entered") == []
        assert not pull.complete(made.store)
        made.sandbox.world.faults.clear()
        made.pace.waits.append(600)  # the breaker's rest is over
        until(lambda: made.held(record).get("leadbridge_score") == "15")
        until(lambda: made.entered() == {"ada@acme.example": 1})


def test_after_that_a_source_that_fails_keeps_nothing_else_from_being_done(made: Stage) -> None:
    record = made.lead()
    made.sync()
    made.fault("status", "contacts.search", status=503, times=10_000)
    with working(made, pull_every=0.2) as worker:
        until(lambda: worker.rounds > 2)
        made.edit(record, jobtitle="Director")
        made.event({"subscriptionType": "contact.propertyChange", "objectId": int(record)})
        worker.wake()
        made.pace.waits.append(600)
        until(lambda: made.held(record)["leadbridge_score"] == "55")


def test_a_busy_worker_lets_a_batch_fill_and_an_idle_one_begins_at_once(made: Stage) -> None:
    waited: list[float] = []

    class Watched(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            return False

    worker = Worker(made.parts)
    made.parts.stop = Watched()
    worker._let_fill()  # no round has ended yet
    assert waited == []
    worker._ended = time.monotonic() + 3600  # whatever the machine's pace, a round has just ended
    worker._let_fill()
    assert 3600 < waited[0] <= 3600 + made.config.rounds.fill_for


def test_a_gap_is_closed_at_once_by_reading_the_vendor_and_not_again(made: Stage, tally: Tally) -> None:
    record, other = made.lead(), made.lead()
    made.sync()
    with working(made, pull_every=3600) as worker:
        until(lambda: worker.rounds > 2)  # the first round has pulled
        made.edit(record, jobtitle="Director")  # and its webhook was turned away
        with made.store.writing() as tx:
            gaps.mark(tx, "hubspot", "bad_signature", clock.now())
        closed = until(lambda: made.held(record)["leadbridge_score"] == "55")
        until(lambda: not pull.gap(made.store, ["hubspot", "mailchimp"]))
        read = made.calls("contacts.search")
        rounds = worker.rounds
        until(lambda: worker.rounds > rounds + 3)
        assert made.calls("contacts.search") == read
    wrong = int(made.held(other)["leadbridge_score"] != "15")
    tally(21, trials=1, lost=int(pull.gap(made.store, ["hubspot"])), wrong=wrong, recover=[closed])


def test_a_gap_of_one_vendor_makes_only_its_sources_due(made: Stage) -> None:
    made.lead()
    made.sync()
    before = made.calls("contacts.search")
    with made.store.writing() as tx:
        gaps.mark(tx, "mailchimp", "busy", clock.now())
    pull.pull(made.store, made.parts.crms, made.parts.platform, every=3600)
    assert made.calls("contacts.search") == before
    assert not pull.gap(made.store, ["hubspot", "mailchimp"])
    with made.store.writing() as tx:
        gaps.mark(tx, "hubspot", "bad_signature", clock.now())
    pull.pull(made.store, made.parts.crms, made.parts.platform, every=3600)
    assert made.calls("contacts.search") > before


def test_a_long_pull_does_not_keep_events_waiting(made: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [made.lead() for _ in range(150)]
    made.sync()
    crm = made.parts.crms[0]
    whole = crm.pull_leads
    meanwhile: list[str] = []

    def slowly(*_: Any, **__: Any) -> Any:
        for number, page in enumerate(whole(None, full=True)):
            if number == 0:
                made.edit(records[0], jobtitle="Director")
                made.event({"subscriptionType": "contact.propertyChange", "objectId": int(records[0])})
                worker.wake()
            elif number == 1:  # pages are read ahead: this one does not come before the event is worked
                until(lambda: made.held(records[0])["leadbridge_score"] == "55")
                meanwhile.append(made.held(records[0])["leadbridge_score"])
            yield page

    monkeypatch.setattr(crm, "pull_leads", slowly)
    with working(made, pull_every=3600) as worker:
        until(lambda: meanwhile)
    assert meanwhile == ["55"]  # before the next page came


def test_a_hint_that_is_lost_delays_work_by_no_more_than_a_sweep(made: Stage) -> None:
    record = made.lead()
    with working(made, sweep=0.3):
        until(lambda: "leadbridge_score" in made.held(record))
        titles = itertools.cycle([("Director", "55"), ("Engineer", "15")])

        def found() -> None:
            title, score = next(titles)
            made.edit(record, jobtitle=title)
            made.event({"subscriptionType": "contact.propertyChange", "objectId": int(record)})
            until(lambda: made.held(record)["leadbridge_score"] == score)

        assert quickest(found, within=5) < 5


def test_stopping_does_not_wait_for_all_there_is_to_do(made: Stage) -> None:
    for _ in range(230):
        made.lead()
    made.sandbox.world.latency = 0.05
    worker = Worker(made.parts, sweep=0.05)
    worker.start()
    until(lambda: made.calls("contacts.list"))
    before = made.calls()
    assert worker.stop(LONG)
    assert made.calls() - before < 60  # three seconds' worth
    made.sandbox.world.latency = 0
    made.parts = made.worker("w2")
    made.sync()
    assert set(made.entered().values()) == {1}
    assert len(made.entered()) == 230
    writes = Counter(e["id"] for e in made.effects("property_changed") if e["name"] == "leadbridge_score")
    assert set(writes.values()) == {1}


def test_a_worker_that_was_never_started_can_be_stopped(made: Stage) -> None:
    assert Worker(made.parts).stop()


# --- the process -----------------------------------------------------------------------------------------------------

PEOPLE = 30


class Site:
    """A configuration file over a sandbox in this process, and `leadbridge run` as its users start it."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.stand_in = demo.Sandbox(sandbox.url, PEOPLE)
        self.file, self.environ = demo.configuration(folder, self.stand_in, example())
        self.store = folder / "leadbridge.db"
        self.said: list[str] = []

    def start(self, **environ: str) -> "subprocess.Popen[str]":
        self.said = []
        process = self.command("run", **environ)
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def command(self, *words: str, **environ: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "leadbridge.cli", *words, "--config", str(self.file)],
            env=os.environ | self.environ | environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr
        with contextlib.suppress(ValueError):  # closed under our hands at the end
            for line in process.stderr:
                self.said.append(line)

    def url(self) -> str:
        found: list[str] = []

        def there() -> bool:
            found[:] = re.findall(r"listens on (http\S+)", "".join(self.said))
            return bool(found)

        until(there)
        return found[0]

    def subscribe(self, url: str) -> None:
        self.sandbox.hubspot.webhooks.subscribe(["contact.propertyChange:jobtitle"])
        self.sandbox.hubspot.webhooks.set_target(f"{url}/webhooks/hubspot", self.environ["HUBSPOT_APP_SECRET"])

    def contacts(self) -> dict[str, dict[str, str]]:
        objects = self.sandbox.hubspot.dump()["objects"]["contacts"]
        return {key: row["properties"] for key, row in objects.items() if not row["archived"]}

    def written(self) -> Counter[str]:
        return Counter(
            e.detail["id"] for call in self.sandbox.world.journal for e in call.effects
            if e.kind == "property_changed" and e.detail["name"] == "leadbridge_score"
        )  # fmt: skip

    def entered(self) -> Counter[str]:
        return Counter(
            e.detail["email_hash"] for call in self.sandbox.world.journal for e in call.effects
            if e.kind == "journey_entered"
        )  # fmt: skip

    def waiting_events(self) -> int:
        store = open_store(f"sqlite:///{self.store}")
        with store.reading() as tx:
            found = inbox.pending(tx)
        store.close()
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Sandbox() as sandbox:
        people.load(people.invent(PEOPLE, 5, sandbox.world.clock.now()), sandbox.hubspot, sandbox.mailchimp)
        found = Site(tmp_path, sandbox)
        apply = found.command("apply")
        assert apply.wait(LONG) == 0
        assert apply.stderr
        apply.stderr.close()
        yield found


def end(process: "subprocess.Popen[str]", by: signal.Signals = signal.SIGTERM) -> int:
    process.send_signal(by)
    code = process.wait(LONG)
    time.sleep(0.05)  # its last words
    assert process.stderr
    process.stderr.close()
    return code


def test_a_webhook_becomes_a_new_score_in_seconds_and_killed_or_stopped_nothing_is_lost(site: Site) -> None:
    process = site.start()
    site.subscribe(site.url())
    until(lambda: len(site.written()) == PEOPLE)
    records = sorted(site.contacts(), key=int)
    before = {key: row["leadbridge_score"] for key, row in site.contacts().items()}
    titles = itertools.cycle(["Chief Marketing Officer", "Assistant"])

    def told() -> None:
        shown = site.contacts()[records[0]]["leadbridge_score"]
        site.sandbox.hubspot.edit_contact(records[0], {"jobtitle": next(titles)})
        until(lambda: site.contacts()[records[0]]["leadbridge_score"] != shown)

    assert quickest(told, within=5) < 5

    site.sandbox.world.faults.add(Fault("status", "hubspot", "contacts.batch.read", status=503, times=1000))
    changed = records[1:9]
    for record in changed:
        site.sandbox.hubspot.edit_contact(record, {"jobtitle": "Chief Marketing Officer"})
    until(lambda: site.sandbox.hubspot.webhooks.waiting() == 0)
    until(lambda: site.waiting_events() == len(changed))
    assert end(process, signal.SIGKILL) == -signal.SIGKILL
    site.sandbox.world.faults.clear()
    assert site.waiting_events() == len(changed)

    process = site.start()
    until(lambda: site.waiting_events() == 0)
    until(lambda: any(site.contacts()[r]["leadbridge_score"] != before[r] for r in changed))
    until(site.entered)
    assert set(site.entered().values()) == {1}
    began = time.monotonic()
    assert end(process) == 0
    assert time.monotonic() - began < 30
    assert "Traceback" not in "".join(site.said)


def test_stopped_under_load_it_exits_0_in_time_and_the_next_one_finishes_the_work(site: Site, tally: Tally) -> None:
    site.sandbox.world.latency = 0.05
    process = site.start()
    until(lambda: site.written())
    began = time.monotonic()
    assert end(process) == 0
    took = time.monotonic() - began
    assert took < 30
    site.sandbox.world.latency = 0.0
    finished = site.command("sync")
    assert finished.wait(LONG) == 0
    assert finished.stderr
    finished.stderr.close()
    written, entered = site.written(), site.entered()
    twice = written.total() - len(written) + entered.total() - len(entered)
    tally(45, trials=1, lost=PEOPLE - len(written), duplicate=twice, recover=[took])


SIGNALLED = """
import signal, sys, threading
from pathlib import Path
from leadbridge import run
from leadbridge.config.load import load
from sync import wiring

def told(_url):
    threading.Timer(0.3, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()

parts = wiring.build(load(Path(sys.argv[1])))
with wiring.sole_worker(parts):
    run.run(parts, tell=told)
parts.close()
"""


def test_it_stops_whichever_of_its_threads_the_system_gives_the_signal_to(site: Site) -> None:
    command = [sys.executable, "-c", SIGNALLED, str(site.file)]
    done = subprocess.run(command, env=os.environ | site.environ, capture_output=True, text=True, timeout=LONG)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_a_second_worker_on_one_file_refuses_with_a_clear_word(site: Site) -> None:
    process = site.start()
    site.url()
    second = site.command("run")
    _, said = second.communicate(timeout=LONG)
    assert second.returncode == 1
    assert "another leadbridge works on" in said
    assert "Traceback" not in said
    assert end(process) == 0


def test_a_wrong_token_is_told_in_words_and_shown_nowhere(site: Site) -> None:
    secret = "pat-na1-0000-wrong-and-secret"
    once = site.command("sync", HUBSPOT_TOKEN=secret)
    _, said = once.communicate(timeout=LONG)
    assert once.returncode == 1
    assert "hubspot" in said
    assert "401" in said
    process = site.start(HUBSPOT_TOKEN=secret)
    until(lambda: "round failed" in "".join(site.said))
    assert end(process) == 0  # alive all the time: the token may be put right while it runs elsewhere
    for words in (said, "".join(site.said)):
        assert secret not in words
        assert "Traceback" not in words
    assert site.written() == {}
