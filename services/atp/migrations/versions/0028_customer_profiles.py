"""Demand profiles of customers, as the reclassifier published them."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

STATEMENT = """
CREATE TABLE customer_profile (
    customer_id text COLLATE "C" PRIMARY KEY,
    sequence bigint NOT NULL,
    demand_profile text CHECK (demand_profile IN ('smooth', 'intermittent', 'erratic', 'lumpy'))
)
"""


def upgrade() -> None:
    op.execute(STATEMENT)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
