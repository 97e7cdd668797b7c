"""First tables."""

from alembic import op
from leadbridge.store.tables import metadata

revision = "20261122"
down_revision = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
