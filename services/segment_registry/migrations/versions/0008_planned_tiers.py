"""Definitions of tiers that come into effect by date."""

from alembic import op

from services.chassis import tables

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE tier_planned (
    tier text COLLATE "C" NOT NULL,
    effective_from timestamptz NOT NULL,
    name text NOT NULL,
    priority_rank int NOT NULL CHECK (priority_rank > 0),
    is_default boolean NOT NULL,
    active boolean NOT NULL,
    policy jsonb NOT NULL,
    author text NOT NULL,
    planned_at timestamptz NOT NULL,
    PRIMARY KEY (tier, effective_from)
);
CREATE INDEX tier_planned_at ON tier_planned (effective_from, tier)
"""


def upgrade() -> None:
    for statement in tables.statements(SCRIPT):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
