"""Access that expires: who renews it, and where it is kept (reliability pattern 15).

A vendor's room asks for renewal; whoever builds the room says where grants live. Of all threads and processes that find
a grant expired, one renews it and the others take what it stored. What is new is stored before anybody uses it, so that
a process killed in between loses no refresh token.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

SIGNING = "mailchimp.webhook"
"""Name under which the secret that signs Mailchimp's webhook is kept, which Mailchimp shows once."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One access token and the refresh token that gets the next. Neither shows in `repr`."""

    refresh_token: str = field(repr=False)
    access_token: str = field(default="", repr=False)
    expires_at: datetime | None = None  # none: there is no access token yet, or nobody says when it ends
    about: str = ""  # what else the room wants to know of it


Renew = Callable[[Grant], Grant]
"""Fetch the next grant from the vendor. Raises VendorError."""


class Grants(Protocol):
    """Where grants are kept, by name. Thread-safe."""

    def current(self, name: str, first: Grant) -> Grant:
        """The grant kept under this name, or `first`: the one that was configured, when it is another than before."""

    def keep(self, name: str, secret: str) -> None:
        """Keep a secret that a vendor shows once."""

    def renewed(self, name: str, first: Grant, seen: str, renew: Renew) -> Grant:
        """A grant whose access token is not `seen`: the one somebody stored meanwhile, or the one `renew` fetches.

        Stored before it is returned. Raises what `renew` raises, and RetryLater when another's renewal takes too long.
        """


class MemoryGrants:
    """Grants of one process, for as long as it lives."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Grant] = {}
        self.secrets: dict[str, str] = {}
        self._lock = threading.Lock()

    def keep(self, name: str, secret: str) -> None:
        self.secrets[name] = secret

    def current(self, name: str, first: Grant) -> Grant:
        return self._kept.get((name, first.refresh_token), first)

    def renewed(self, name: str, first: Grant, seen: str, renew: Renew) -> Grant:
        with self._lock:
            held = self.current(name, first)
            if held.access_token != seen:
                return held
            found = renew(held)
            self._kept[name, first.refresh_token] = found
            return found
