"""How often a person was claimed to be scored without anything coming of it: tells who ends their worker."""

import sqlalchemy as sa
from alembic import op

revision = "20261128_50"
down_revision = "20261128_40"


def upgrade() -> None:
    op.add_column("due", sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
