"""Every CRM of ours passes the contract suite: real SDK, real HTTP, a sandbox that shares no code with the rooms."""

from collections.abc import Callable, Iterator

import pytest

from leadbridge.sandbox.server import Sandbox
from leadbridge.testing import CrmContract, CrmStage
from tests.helpers.stages import HubSpotStage, SalesforceStage

STAGES: dict[str, Callable[[Sandbox], CrmStage]] = {
    "hubspot v3": lambda sandbox: HubSpotStage(sandbox, "v3"),
    "hubspot 2026-09": lambda sandbox: HubSpotStage(sandbox, "2026-09"),
    "salesforce leads": lambda sandbox: SalesforceStage(sandbox, "Lead"),
    "salesforce contacts": lambda sandbox: SalesforceStage(sandbox, "Contact"),
}


class TestCrms(CrmContract):
    @pytest.fixture(params=STAGES)
    def stage(self, request: pytest.FixtureRequest) -> Iterator[CrmStage]:
        with Sandbox() as sandbox:
            yield STAGES[request.param](sandbox)
