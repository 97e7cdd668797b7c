"""The part of the file that says how workers are rung. Of the queue the address is all there is to say: what is queued
are hints, and what waits is in the store (reliability pattern 3)."""

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from leadbridge.config.kinds import FromEnvironment, Section


def _queue_address(text: str) -> str:
    """Never shown in an error: it may hold a password."""
    if not re.fullmatch(r"(rediss?|amqps?)://[^\s]+|redis\+socket:///[^\s]+", text):
        raise ValueError("must be redis://HOST or amqp://USER:${PASSWORD}@HOST (rediss:// and amqps:// with TLS)")
    return text


QueueAddress: TypeAlias = Annotated[str, FromEnvironment(), AfterValidator(_queue_address)]
"""Redis or RabbitMQ."""


class Rounds(Section):
    """How a worker goes about what waits."""

    fill_for: float = Field(
        0.25, ge=0, le=5, description="seconds a busy worker waits for a batch to fill; an idle one begins at once"
    )
