"""Orders that are taken over from another system: which ones, by the fingerprint of what was said of each."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE promise ADD COLUMN cut_over bytea",
    "COMMENT ON COLUMN promise.cut_over IS 'fingerprint of the open order it was taken over from; null: promised here'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
