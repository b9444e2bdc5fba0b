"""Stock of a position may be held back from a channel."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE position ADD COLUMN channel_buffers jsonb")
    op.execute(
        "COMMENT ON COLUMN position.channel_buffers IS"
        " 'pairs of channel and quantity never offered to it besides the buffer, ascending; null: none'"
    )


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
