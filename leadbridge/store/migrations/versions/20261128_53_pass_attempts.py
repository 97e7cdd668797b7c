"""How often a span of a pass was claimed without an end, as for people who are due."""

import sqlalchemy as sa
from alembic import op

revision = "20261128_53"
down_revision = "20261128_52"


def upgrade() -> None:
    op.add_column("passes", sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
