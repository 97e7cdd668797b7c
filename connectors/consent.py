"""Being let into an account by somebody of it, on a page of the vendor's: what `leadbridge connect` asks of a room."""

from typing import Protocol

from connectors.grants import Grant


class Consent(Protocol):
    """The asking of one app at one vendor."""

    redirect_host: str
    """Name of this machine that the vendor lets its page lead back to without https."""

    first: Grant
    """What the configuration has of a grant, as the room begins with it: what is granted takes its place."""

    def able(self) -> bool:
        """Does the configuration name an app to be let in?"""

    def address(self, redirect: str, state: str) -> str:
        """The page on which somebody consents; it leads back to `redirect` with a code and this state."""

    def exchange(self, code: str, redirect: str) -> Grant:
        """The grant for a code, which is good once. Raises VendorError."""
