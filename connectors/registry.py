"""Name to class, written out, plus what other packages offer as entry points. Nothing registers itself by import.

A CRM or an e-mail platform from another package is an entry point of the group `leadbridge.connectors`, named as in
the configuration's `connections.plugins`, whose object is a subclass of `Crm` or `EmailPlatform` that is built from its
connection, the whole configuration and, by keyword, the `pace` at which it may spend time (`leadbridge.call.Pace`). One
whose access expires says `keeps_grants = True` and is given `grants` too (`connectors.grants.Grants`).
SDKs are heavy, so a room is imported when it is built.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, TypeVar

from connectors.base import Crm, EmailPlatform
from connectors.consent import Consent
from leadbridge.config import plugins
from leadbridge.config.plugins import GROUP
from leadbridge.config.schema import Config
from leadbridge.errors import ConfigError, Fault

CRMS = {
    "hubspot": "connectors.hubspot.connector:HubSpot",
    "salesforce": "connectors.salesforce.connector:Salesforce",
}
EMAIL_PLATFORMS = {"mailchimp": "connectors.mailchimp.connector:Mailchimp"}

CONSENTS = {
    "hubspot": "connectors.hubspot.consent:Consent",
    "mailchimp": "connectors.mailchimp.consent:Consent",
}
"""Vendors at which somebody of the account lets an app in."""

R = TypeVar("R", bound=Crm | EmailPlatform)


def crms(config: Config) -> list[str]:
    """Names of the CRMs the configuration connects to, in the order of the registry."""
    return [name for name, _ in _connected(config) if name in CRMS or _offered(name, Crm)]


def email_platforms(config: Config) -> list[str]:
    """Names of the e-mail platforms the configuration connects to."""
    return [name for name, _ in _connected(config) if name in EMAIL_PLATFORMS or _offered(name, EmailPlatform)]


def crm(name: str, config: Config, **options: Any) -> Crm:
    """The CRM of this name, built. Raises ConfigError when there is none, or it is not connected."""
    return _build(Crm, CRMS, name, config, options)  # type: ignore[type-abstract]  # only ever a subclass


def email_platform(name: str, config: Config, **options: Any) -> EmailPlatform:
    """The e-mail platform of this name, built. Raises ConfigError when there is none, or it is not connected."""
    return _build(EmailPlatform, EMAIL_PLATFORMS, name, config, options)  # type: ignore[type-abstract]


def consent(name: str, config: Config, **options: Any) -> Consent:
    """The asking for consent at this vendor. Raises ConfigError when it is not connected, or by no app."""
    connection = dict(_connected(config)).get(name)
    if connection is None:
        raise _fault(name, "is not connected", "add it under connections, with client_id and client_secret")
    asking: Consent = _load(CONSENTS[name])(connection, **options)
    if not asking.able():
        raise _fault(name, "names no app to be let in", "use client_id and client_secret instead of a token or key")
    return asking


def _connected(config: Config) -> Iterator[tuple[str, Any]]:
    for name in (*CRMS, *EMAIL_PLATFORMS):
        connection = getattr(config.connections, name)
        if connection is not None:
            yield name, connection
    yield from config.connections.plugins.items()


def _build(contract: type[R], known: dict[str, str], name: str, config: Config, options: dict[str, Any]) -> R:
    connection = dict(_connected(config)).get(name)
    if connection is None:
        raise _fault(name, "is not connected", f"add it under connections, or leave {name} out")
    room = _load(known[name]) if name in known else _offered(name, contract)
    if room is None:
        raise _fault(name, f"is no {contract.__name__}", f"built in: {', '.join(sorted(known))}")
    if not getattr(room, "keeps_grants", False):
        options = {name: option for name, option in options.items() if name != "grants"}
    built = room(connection, config, **options)
    if not isinstance(built, contract):
        raise _fault(name, f"is no {contract.__name__}", f"its entry point in {GROUP} is something else")
    return built


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def _offered(name: str, contract: type) -> Any:
    """The class another package offers under this name for this contract, or None. Built-in names cannot be taken."""
    if name in CRMS or name in EMAIL_PLATFORMS:
        return None
    room = plugins.load(name)
    return room if isinstance(room, type) and issubclass(room, contract) else None


def _fault(name: str, problem: str, hint: str) -> ConfigError:
    return ConfigError("configuration", [Fault(0, f"connections.{name}", problem, hint)])
