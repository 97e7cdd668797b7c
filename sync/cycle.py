"""The loop as plain functions: one full round for the CLI, and the short round a webhook starts."""

from collections.abc import Callable
from dataclasses import dataclass, field

from leadbridge.progress import Tell, unheard
from leadbridge.store import due
from sync import accounts, day, enrol, events, leave, passes, pull, receivers, rescore, retry, write_back
from sync.counting import add
from sync.enrol import Enrolled
from sync.events import Worked
from sync.leave import Left
from sync.receivers import Handed
from sync.rescore import Rescored
from sync.sources import Pulled
from sync.wiring import Parts
from sync.write_back import Written


@dataclass(slots=True)
class Round:
    """What one round did."""

    pulled: Pulled = field(default_factory=Pulled)
    events: Worked = field(default_factory=Worked)
    rescored: Rescored = field(default_factory=Rescored)
    written: Written = field(default_factory=Written)
    members: Written = field(default_factory=Written)  # merge fields at the e-mail platform
    exits: Left = field(default_factory=Left)
    handed: Handed = field(default_factory=Handed)  # to people at the company
    enrolled: Enrolled = field(default_factory=Enrolled)

    @property
    def paused(self) -> list[str]:
        """Connections that need an operator, in their own words."""
        told = [*self.written.paused, *self.members.paused, *self.handed.paused, *self.enrolled.paused]
        return list(dict.fromkeys(told))


def sync(parts: Parts, *, full: bool = False, tell: Tell = unheard) -> Round:
    """Pull everything that changed, then act on it. Raises VendorError when a pull cannot go on."""
    accounts.confirm(parts.store, parts.rooms)
    pulled = pull.pull(parts.store, parts.crms, parts.platform, full=full, owner=parts.owner, tell=tell)
    if full:
        passes.ask(parts)
    found = act(parts, tell=tell)
    found.pulled = pulled
    return found


@retry.on_conflict
def act(parts: Parts, *, tell: Tell = unheard, rung: Callable[[], bool] = lambda: False) -> Round:
    """Work through what is waiting in the store: webhook events, rescoring, write-back, enrolment.

    What comes meanwhile does not wait for the end of that, which may take minutes: where `rung` says so, it is scored
    and written back between two steps.
    """
    done = Round()
    store, owner = parts.store, parts.owner
    _score(parts, done, tell, rung)

    def between(what: str, count: int) -> None:
        tell(what, count)
        if rung():
            _score(parts, done, tell, rung)

    if parts.platform and parts.platform.shows():
        done.members = write_back.write_back(store, parts.platform, owner=owner, tell=between)
    if parts.platform:  # before anybody enters once more; also while nurture is switched off
        done.exits = leave.tell_exits(store, parts.platform, parts.scorer.matcher)
    day.note(store, parts.crms)
    if done.written.paused:
        return done  # sales would not see why: nobody is contacted on a score that the CRM does not show
    done.handed = receivers.work(store, parts.scorer, parts.crms, owner=owner, tell=between)
    if parts.platform and parts.config.nurture.enabled:
        done.enrolled = enrol.enrol(store, parts.platform, parts.config, owner=owner, tell=between)
    return done


def _score(parts: Parts, done: Round, tell: Tell, rung: Callable[[], bool]) -> None:
    """From what came to scores that the CRMs show: the hot signal first, then decay, then a pass over everybody."""
    store, owner = parts.store, parts.owner

    def between(what: str, count: int) -> None:
        tell(what, count)
        if rung():
            _hot(parts, done, tell)

    def others() -> None:
        add(done.rescored, rescore.rescore(parts, tell=between))

    passes.note_rules(parts)
    _hot(parts, done, tell)
    passes.note_journeys(parts)
    others()
    while passes.step(parts, done.rescored, tell=between):
        _hot(parts, done, tell)
        others()
    day.note(store, parts.crms)
    day.say_what_does_not_fit(store, parts.crms)
    for crm in parts.crms:
        add(done.written, write_back.write_back(store, crm, owner=owner, tell=between))


def _hot(parts: Parts, done: Round, tell: Tell) -> None:
    """The way of the hot signal: the events that came, the people behind them, and what their records are to show."""
    store, owner, lanes = parts.store, parts.owner, [due.Lane.HOT]
    add(done.events, events.work(store, parts.crms, owner=owner, wanted=parts.intake, tell=tell))
    add(done.rescored, rescore.rescore(parts, lanes=lanes, tell=tell))
    for crm in parts.crms:
        add(done.written, write_back.write_back(store, crm, owner=owner, lanes=lanes, tell=tell))
