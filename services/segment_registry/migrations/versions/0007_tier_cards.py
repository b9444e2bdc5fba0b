"""Owners of tiers, and what other systems call them."""

from alembic import op

from services.chassis import tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE tier_card (
    tier text COLLATE "C" PRIMARY KEY REFERENCES tier,
    owner text,
    codes jsonb NOT NULL
)
"""


def upgrade() -> None:
    for statement in tables.statements(SCRIPT):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
