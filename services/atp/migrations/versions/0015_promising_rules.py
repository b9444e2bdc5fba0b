"""Items may be promised by a stricter rule than cumulative ATP."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE item ADD COLUMN promising_rule jsonb")
    op.execute("COMMENT ON COLUMN item.promising_rule IS 'as in catalog.item; null: cumulative ATP with look-ahead'")


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
