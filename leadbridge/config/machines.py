"""The part of the file that says whose opens and clicks of mail are a machine's, beyond what shows by itself."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

from leadbridge.config.kinds import Section


def _network(text: str) -> str:
    try:
        return str(ip_network(text.strip()))
    except ValueError as problem:
        raise ValueError(f"is not a network ({problem}); write it as 203.0.113.0/24 or 2001:db8::/32") from None


Network = Annotated[str, AfterValidator(_network)]


class Machines(Section):
    """Opens and clicks that no person made."""

    networks: list[Network] = Field(
        default=[],
        max_length=1000,
        description="networks of mail scanners and privacy proxies: every open and click from there is a machine's",
    )
