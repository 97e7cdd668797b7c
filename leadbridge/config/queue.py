"""The part of the file that says where workers of the scaled shape are rung. The address is all there is to say:
what is queued are hints, and what waits is in the store (reliability pattern 3)."""

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from leadbridge.config.kinds import FromEnvironment


def _queue_address(text: str) -> str:
    """Never shown in an error: it may hold a password."""
    if not re.fullmatch(r"(rediss?|amqps?)://[^\s]+|redis\+socket:///[^\s]+", text):
        raise ValueError("must be redis://HOST or amqp://USER:${PASSWORD}@HOST (rediss:// and amqps:// with TLS)")
    return text


QueueAddress: TypeAlias = Annotated[str, FromEnvironment(), AfterValidator(_queue_address)]
"""Redis or RabbitMQ."""
