"""May this person be contacted now? Asked last, by every path, and it wins (reliability G20, G22-G24, pattern 7)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from leadbridge.config.nurture import Cap, Guards
from leadbridge.types import SuppressionReason

FRESH = timedelta(seconds=60)
"""How old the platform's word on a member may be when we call (reliability G20)."""

MAY_BE_MAILED = "subscribed"
"""The one status that may receive marketing mail; everything else, the unknown included, may not."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`go`, or why not. `final` says that waiting will not help this intent."""

    go: bool
    why: str = ""
    final: bool = True


GO = Verdict(go=True)


def before_intent(*, suppressed: SuppressionReason | None, opted_out: bool, address: str | None) -> Verdict:
    """First question, inside the transaction that records the intent: our own knowledge."""
    if address is None:
        return Verdict(go=False, why="no usable address")
    if suppressed is not None:
        return Verdict(go=False, why=f"suppressed: {suppressed.value}")
    if opted_out:
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
    if not timedelta(0) <= now - read_at <= FRESH - lasts:
        return Verdict(go=False, why="the platform's word on this member is too old", final=False)
    return GO


def allowance(guards: Guards, *, audience: int, last_hour: int, last_day: int) -> int:
    """How many contacts may still be made now, over every path together. Never negative."""
    left = min(_limit(guards.per_hour, audience) - last_hour, _limit(guards.per_day, audience) - last_day)
    return max(0, left)


def _limit(cap: Cap, audience: int) -> int:
    return max(cap.count, int(cap.share * audience))
