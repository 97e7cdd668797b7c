"""May this person be contacted now? Asked last, by every path, and it wins (reliability G20, G22-G24, pattern 7)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from leadbridge.config.guards import Cap, Guards
from leadbridge.types import SuppressionReason

FRESH = timedelta(seconds=60)
"""How old the platform's word on a member may be when we call (reliability G20)."""

MAY_BE_MAILED = "subscribed"
"""The one status that may receive marketing mail; everything else, the unknown included, may not."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`go`, or why not. `final` says that waiting will not help this intent; `again`, when to ask once more."""

    go: bool
    why: str = ""
    final: bool = True
    again: datetime | None = None


GO = Verdict(go=True)


def before_intent(*, suppressed: SuppressionReason | None, opted_out: bool, address: str | None) -> Verdict:
    """First question, inside the transaction that records the intent: our own knowledge."""
    if address is None:
        return Verdict(go=False, why="no usable address")
    if suppressed not in (None, SuppressionReason.CRM_OPT_OUT):
        return Verdict(go=False, why=f"suppressed: {suppressed.value}")
    if opted_out or suppressed is not None:
        return Verdict(go=False, why="opted out in the CRM")
    return GO


def before_call(
    *,
    suppressed: SuppressionReason | None,
    opted_out: bool,
    status: str,
    read_at: datetime,
    expires_at: datetime,
    now: datetime,
    lasts: timedelta = timedelta(0),
    quiet_until: datetime | None = None,
) -> Verdict:
    """Last question, after the platform was asked and before the first byte of the call.

    The answer is good for `lasts`: what would expire or grow too old by then does not pass.
    """
    first = before_intent(suppressed=suppressed, opted_out=opted_out, address="known")
    if not first.go:
        return first
    if now + lasts >= expires_at:
        return Verdict(go=False, why="expired: an enrolment made late is worse than none")
    if status != MAY_BE_MAILED:
        return Verdict(go=False, why=f"not subscribed: {status}")
    if quiet_until is not None:
        return Verdict(go=False, why="quiet hours where the person lives", final=False, again=quiet_until)
    if not timedelta(0) <= now - read_at <= FRESH - lasts:
        return Verdict(go=False, why="the platform's word on this member is too old", final=False)
    return GO


@dataclass(frozen=True, slots=True)
class Made:
    """What bounds the contacts still to be made: whom there is, and how many were contacted lately."""

    audience: int  # people who may be contacted
    last_hour: int
    last_day: int
    usual_day: float | None = None  # contacts on a usual day; None: there is no usual yet
    canary: int | None = None  # contacts under a policy not yet released; None: it is released
    stopped: str = ""  # by whom and why, while the stop switch is on
    unusable: str = ""  # what is wrong with the scores, when they cannot be trusted


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many contacts may still be made now, and what sets the bound. `hold`: only a release lifts it."""

    count: int
    why: str
    hold: bool = False


def allowance(guards: Guards, made: Made) -> Allowance:
    """How many contacts may still be made now, over every path together. Never negative (G23, G24)."""
    if made.stopped:
        return Allowance(0, f"contact is {made.stopped}")
    if made.unusable:
        return Allowance(0, made.unusable)
    bounds = [
        (_limit(guards.per_hour, made.audience) - made.last_hour, "held back by guards: the cap of an hour", False),
        (_limit(guards.per_day, made.audience) - made.last_day, "held back by guards: the cap of a day", False),
    ]
    if made.usual_day is not None:
        usual = f"held back by guards: {guards.surge:g} times the usual day ({made.usual_day:.0f})"
        bounds.append((int(guards.surge * made.usual_day) - made.last_day, usual, False))
    if made.canary is not None:
        canary = "canary: what decides has changed; `leadbridge release` shows the difference"
        bounds.append((_limit(guards.canary.people, made.audience) - made.canary, canary, True))
    count, why, hold = min(bounds, key=lambda bound: bound[0])
    return Allowance(max(0, count), why, hold)


def _limit(cap: Cap, audience: int) -> int:
    return max(cap.count, int(cap.share * audience))
