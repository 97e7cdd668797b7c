"""Since when a record shows the values it does, whatever we wrote to it in the meantime."""

import sqlalchemy as sa
from alembic import op

revision = "20261128_56"
down_revision = "20261128_55"


def upgrade() -> None:
    op.add_column("records", sa.Column("values_at", sa.BigInteger(), nullable=True))
