"""Mailchimp passes the contract suite: the real client, real HTTP, a sandbox that shares no code with the room."""

from collections.abc import Iterator

import pytest

from leadbridge.sandbox.server import Sandbox
from leadbridge.testing import EmailContract, EmailStage
from tests.helpers.stages import MailchimpStage


class TestMailchimp(EmailContract):
    @pytest.fixture
    def stage(self) -> Iterator[EmailStage]:
        with Sandbox() as sandbox:
            yield MailchimpStage(sandbox)
