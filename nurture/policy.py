"""What decides who is contacted, as one value: a change of it starts as a canary (reliability G23)."""

import hashlib

from leadbridge.config.schema import Config

DECIDES = {
    "personas", "behaviour", "scores", "stages", "buyer_journey", "segments",
}  # fmt: skip
"""Sections of the file that decide who is contacted, beside the journeys."""

NURTURE = {"journeys", "pressure", "pause_while", "until"}


def digest(config: Config) -> str:
    """Content hash of models, rules, thresholds and journeys; the same for the same content."""
    body = config.model_dump_json(include={**dict.fromkeys(sorted(DECIDES), True), "nurture": NURTURE})
    return hashlib.sha256(body.encode()).hexdigest()
