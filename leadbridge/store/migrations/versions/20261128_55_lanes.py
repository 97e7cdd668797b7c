"""How urgent a wish is: what somebody did just now is written before what time or a change of rules brought."""

import sqlalchemy as sa
from alembic import op

revision = "20261128_55"
down_revision = "20261128_54"


def upgrade() -> None:
    op.add_column("write_backs", sa.Column("lane", sa.SmallInteger(), server_default=sa.text("1"), nullable=False))
    op.drop_index("ix_write_backs_state", "write_backs")
    op.create_index("ix_write_backs_lane", "write_backs", ["state", "vendor", "lane", "due_at"])
