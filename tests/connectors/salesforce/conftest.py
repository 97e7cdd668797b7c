"""A Salesforce org with leadbridge's fields, and rooms over it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connectors.salesforce.connector import Salesforce
from leadbridge.call import Pace
from leadbridge.sandbox import salesforce as stand_in
from leadbridge.sandbox.server import Sandbox
from tests.helpers import rooms

Rooms = Callable[..., Salesforce]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        sandbox.salesforce.settings.query_page = 2000
        for kind in ("Lead", "Contact"):
            sandbox.salesforce.grant_field(kind, "HasOptedOutOfEmail")
        yield sandbox


@pytest.fixture
def org(sandbox: Sandbox) -> stand_in.Salesforce:
    return sandbox.salesforce


@pytest.fixture
def a_room(sandbox: Sandbox) -> Rooms:
    def make(pace: Pace | None = None, **connection: Any) -> Salesforce:
        return rooms.salesforce(rooms.configuration(sandbox.url, salesforce=connection), pace)

    return make


@pytest.fixture
def room(a_room: Rooms) -> Salesforce:
    """With the fields of the write-back made and permitted."""
    found = a_room()
    found.create(found.specs())
    return found
