"""Who is kept out of a journey so that its effect can be measured."""

import hashlib


def held_out(person_key: str, journey: str, share: float) -> bool:
    """Is this person kept out of this journey? Stable: the same answer for ever, on every machine.

    `share` is 0..1. Raising it only adds people, lowering it only lets some in, because each (person, journey) has
    one fixed place between 0 and 1.
    """
    digest = hashlib.sha256(f"{journey}\0{person_key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < share
