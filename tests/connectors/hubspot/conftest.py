"""What the tests of HubSpot's room share."""

from collections.abc import Iterator

import pytest

from leadbridge.sandbox.server import Sandbox
from tests.helpers import rooms


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield rooms.unlimited(sandbox)
