"""Which variant of a journey a person was put into."""

import sqlalchemy as sa
from alembic import op

from leadbridge.store.engine import EXACT_TEXT

revision = "20261128_54"
down_revision = "20261128_53"


def upgrade() -> None:
    op.add_column("enrolments", sa.Column("variant", EXACT_TEXT, server_default=sa.text("''"), nullable=False))
