"""What waits for a release, with the difference that a changed policy makes; and the release itself (G23)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from leadbridge import clock
from leadbridge.config.schema import Config
from leadbridge.store import audit, enrolments, policies, scores
from leadbridge.store.engine import Store


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a release would let go, and what is known of the policy that is held back."""

    canary: bool  # is the policy in force still one?
    since: datetime | None
    contacted: int  # under it
    held: Mapping[str, int]  # rows by journey
    difference: scores.Difference | None  # to the policy before, on the same people; None: there was none

    @property
    def rows(self) -> int:
        return sum(self.held.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "canary": self.canary,
            "since": self.since,
            "contacted": self.contacted,
            "held": dict(self.held),
            "rows": self.rows,
            "difference": self.difference.as_dict() if self.difference else None,
        }


def waiting(store: Store, config: Config) -> Waiting:
    """What waits for a release now. Reads only."""
    main = next(iter(config.scores))
    with store.reading() as tx:
        policy = policies.in_force(tx)
        held = enrolments.held_by_journey(tx)
        if policy is None:
            return Waiting(canary=False, since=None, contacted=0, held=held, difference=None)
        before = policies.before(tx, policy)
        return Waiting(
            canary=policy.released_at is None,
            since=policy.began_at,
            contacted=policies.contacted_since(tx, policy),
            held=held,
            difference=scores.difference(tx, main, policy.began_at) if before else None,
        )


def release(store: Store, who: str, rows: int) -> int | None:
    """Release the policy in force and every row that is held, provided that there are just so many of them: whoever
    releases has seen the counts. Returns how many; None when there are more or fewer by now, and nothing was released.
    """
    with store.writing() as tx:
        now = clock.now()
        held = enrolments.held_by_journey(tx)
        if sum(held.values()) != rows:
            return None
        policy = policies.in_force(tx)
        freed = policy is not None and policies.release(tx, policy.digest, who, now)
        released = enrolments.release_held(tx, f"released by {who}", now)
        detail = {"policy": policy.digest if policy else None, "was_canary": freed, "held": held}
        audit.note(tx, who, "contact released", detail, now)
        return released
