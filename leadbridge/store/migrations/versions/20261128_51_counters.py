"""Numbers a vendor only counts up, as last read, beside each record."""

import sqlalchemy as sa
from alembic import op

revision = "20261128_51"
down_revision = "20261128_50"


def upgrade() -> None:
    op.add_column("records", sa.Column("counters", sa.Text(), nullable=False, server_default=sa.text("'{}'")))
