"""Access that expires, kept in the store: one renewal at a time over all threads and processes (pattern 15)."""

import hashlib
from collections.abc import Callable
from datetime import datetime

from connectors.grants import Grant, Renew
from leadbridge import clock, logs
from leadbridge.errors import RetryLater
from leadbridge.store import grants
from leadbridge.store.engine import Store
from sync.holding import sole

POLL = 0.1
LONGEST_WAIT = 40.0
"""Seconds to wait for another's renewal, looking again every `POLL`."""


class StoredGrants:
    """Grants in the store, sealed. A configured refresh token begins a line of grants, another one another line."""

    def __init__(self, store: Store, owner: str, wait: Callable[[float], object]) -> None:
        self._store = store
        self._owner = owner
        self._wait = wait

    def keep(self, name: str, secret: str) -> None:
        """See `Grants.keep`."""
        logs.hide(secret)
        with self._store.writing() as tx:
            grants.keep(tx, self._store.vault, name, {"secret": secret}, clock.now())

    def current(self, name: str, first: Grant) -> Grant:
        """See `Grants.current`."""
        with self._store.reading() as tx:
            held = grants.read(tx, self._store.vault, name)
        if held is None or held.get("line") != _line(first):
            return first
        for token in (held["access"], held["refresh"]):
            logs.hide(token)
        expires = datetime.fromisoformat(held["expires"]) if held["expires"] else None
        return Grant(held["refresh"], held["access"], expires, held.get("about", ""))

    def renewed(self, name: str, first: Grant, seen: str, renew: Renew) -> Grant:
        """See `Grants.renewed`."""
        waited = 0.0
        while True:
            held = self.current(name, first)
            if held.access_token != seen:
                return held
            with sole(self._store, _lease(name), self._owner) as lease:
                if lease is not None:
                    held = self.current(name, first)  # somebody may have stored one between our look and our lease
                    return held if held.access_token != seen else self._fetch(name, first, held, renew)
            if waited >= LONGEST_WAIT:
                raise RetryLater(name, "token", "another worker's renewal of the access token takes long", after=POLL)
            self._wait(POLL)
            waited += POLL

    def _fetch(self, name: str, first: Grant, held: Grant, renew: Renew) -> Grant:
        """The next grant, stored whatever became of the lease: the old refresh token may be worth nothing by now."""
        found = renew(held)
        self.begin(name, first, found)
        return found

    def begin(self, name: str, first: Grant, found: Grant) -> None:
        """Keep what was granted, in place of what this name had."""
        values = {
            "line": _line(first),
            "access": found.access_token,
            "refresh": found.refresh_token,
            "expires": found.expires_at.isoformat() if found.expires_at else "",
            "about": found.about,
        }
        with self._store.writing() as tx:
            grants.keep(tx, self._store.vault, name, values, clock.now())


def _lease(name: str) -> str:
    return f"grant:{name}"


def _line(first: Grant) -> str:
    """Tells one configured refresh token from another, without being one."""
    return hashlib.sha256(first.refresh_token.encode()).hexdigest()
