"""What decides who is contacted, as one value: a change of it starts as a canary (reliability G23)."""

import hashlib

from leadbridge.config.schema import Config

DECIDES = {
    "behaviour", "buyer_journey", "company", "fields", "personas", "questions", "scores", "segments", "stages",
}  # fmt: skip
"""Sections of the file that decide who is contacted, beside the journeys and the assets that they offer. Fields are
among them: a condition means another thing once its field is read from elsewhere."""

CONSENT = {"given", "at", "add_members", "objection"}
"""Who may be added to the audience, and who is not scored; the words of a consent contact nobody."""

NURTURE = {"journeys", "pressure", "pause_while", "until"}


def digest(config: Config) -> str:
    """Content hash of models, rules, thresholds, journeys and what these offer; the same for the same content.

    What else the catalogue holds may come and go: nobody is contacted with it.
    """
    return _hashed(config, dict.fromkeys(sorted(DECIDES), True))


def journeys_digest(config: Config) -> str:
    """Content hash of the part of it by which alone somebody who stayed as they were may fit another journey."""
    return _hashed(config, {})


def _hashed(config: Config, more: dict[str, bool]) -> str:
    offered = {name for journey in config.nurture.journeys for name in journey.offers}
    assets = {name: {"type", "when", "expires"} for name in sorted(offered & config.catalogue.keys())}
    body = config.model_dump_json(include={**more, "nurture": NURTURE, "consent": CONSENT, "catalogue": assets})
    return hashlib.sha256(body.encode()).hexdigest()
