"""The contract suites that every room passes, for rooms of other packages too. Needs `pip install leadbridge[testing]`.

A package that brings a CRM writes one stage (an account to fill, edit and break, and the room over it) and one class::

    from leadbridge.testing import CrmContract

    class TestAcme(CrmContract):
        @pytest.fixture
        def stage(self):
            with AcmeServer() as server:
                yield AcmeStage(server)

and likewise `EmailContract` for an e-mail platform. What a stage must be able to do is written at `CrmStage` and
`EmailStage`; what each test asks for is its name. `docs/ADDING_A_VENDOR.md` walks through it.
"""

from leadbridge.testing.crm import CrmContract
from leadbridge.testing.email import EmailContract
from leadbridge.testing.stages import CrmStage, EmailStage, Skipping, Trouble

__all__ = ["CrmContract", "CrmStage", "EmailContract", "EmailStage", "Skipping", "Trouble"]
