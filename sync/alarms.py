"""The operator is told that something is wrong, by the same ways as sales is (reliability G7, G14).

Told once when it begins or grows, again while it lasts, and once when it is over. What is told are counts and names of
ours: nothing of a person. What no place took is told at the next look.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from leadbridge import clock, logs
from leadbridge.store import watermarks
from leadbridge.store.engine import Store
from sync import figures
from sync.alerts import Text, deliver
from sync.holding import sole
from sync.wiring import Parts

log = logs.logger(__name__)

LOOK_EVERY = timedelta(seconds=60)

OLDEST = 120.0
"""Seconds that due work may wait (G14)."""

_US, _ALARMS = "leadbridge", "alarms"


def wrong(now: figures.Figures) -> dict[str, tuple[int, str]]:
    """What is wrong: name, how much of it, and in words. Pure."""
    found = {
        "late": (int(max(now.oldest.values()) > OLDEST), "work waits for longer than two minutes"),
        "quarantine": (sum(now.quarantine.values()), "{many} set aside: leadbridge quarantine list"),
        "uncertain": (
            now.enrolments.get("uncertain", 0),
            "{many} enrolled or not, nobody knows: leadbridge enrolments list --state uncertain",
        ),
        "operator": (len(now.needs_operator), "cannot go on: " + "; ".join(now.needs_operator)),
        "stopped": (int(now.contact.stopped), "contact is stopped: leadbridge status"),
        "held": (now.enrolments.get("held", 0), "{many} held back from their journeys: leadbridge release"),
        "alerts": (now.alerts.get("failed", 0), "{many} not told to people at the company: leadbridge status"),
        **{f"gap {vendor}": (1, f"{vendor}: deliveries were turned away or missed; it is read") for vendor in now.gaps},
        **{
            f"day {vendor}": (int(not day["left"]), f"{vendor}: the day's calls for leadbridge are used up")
            for vendor, day in now.day.items()
        },
    }
    return {name: one for name, one in found.items() if one[0]}


def tell(parts: Parts) -> None:
    """Look whether something is wrong, at most once a minute over all workers, and tell it. Raises StoreError."""
    store = parts.store
    if not parts.config.alarms.alert or not _is_due(store):
        return
    with sole(store, _ALARMS, parts.owner) as lease:
        if lease is None or not _is_due(store):
            return
        now = clock.now()
        with store.reading() as tx:
            told = dict(watermarks.progress(tx, _US, _ALARMS) or {})
        found = wrong(figures.read(store, parts.config))
        again = timedelta(seconds=parts.config.alarms.again_every)
        news = [words.replace("{many}", str(many)) for name, (many, words) in found.items()
                if _is_news(told.get(name), many, now, again)]  # fmt: skip
        over = [name for name in told if name not in found]
        if (news or over) and _said(parts, [*news, *(f"over: {name}" for name in over)]):
            kept = {name: one for name, one in told.items() if name in found}
            told = kept | {
                name: f"{many} {now.isoformat()}"
                for name, (many, _) in found.items()
                if _is_news(kept.get(name), many, now, again)
            }
        told = {name: _lowered(one, found[name][0]) if name in found else one for name, one in told.items()}
        with store.writing() as tx:
            lease.check(tx)
            watermarks.save_progress(tx, _US, _ALARMS, told, now)


def _is_due(store: Store) -> bool:
    with store.reading() as tx:
        last = watermarks.reached_at(tx, _US, _ALARMS)
    return clock.passed(last, LOOK_EVERY)


def _is_news(told: str | None, many: int, now: datetime, again: timedelta) -> bool:
    if told is None:
        return True
    before, _, at = told.partition(" ")
    return many > int(before) or now - datetime.fromisoformat(at) >= again


def _lowered(told: str, many: int) -> str:
    """There are fewer by now: more than these are news again."""
    before, _, at = told.partition(" ")
    return f"{min(int(before), many)} {at}"


def _said(parts: Parts, lines: list[str]) -> bool:
    """Tell every place; did any take it?"""
    alarms = parts.config.alarms
    text = Text("leadbridge: something needs you", "\n".join(lines))
    problems: Mapping[int, str] = {
        number: deliver(address.get_secret_value(), text, alarms.alert_hosts)[1]
        for number, address in enumerate(alarms.alert, 1)
    }
    for number, problem in problems.items():
        if problem:
            log.error("alarm not told", place=number, why=problem)
    return not all(problems.values())
