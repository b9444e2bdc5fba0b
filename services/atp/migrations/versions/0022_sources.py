"""Stores where customers collect, and locations whose supply is assumed from a lead time on."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE location ADD COLUMN closes_at time,
        ADD COLUMN ready_minutes int NOT NULL DEFAULT 0 CHECK (ready_minutes >= 0),
        ADD COLUMN lead_time_days int CHECK (lead_time_days >= 0)
    """,
    "COMMENT ON COLUMN location.closes_at IS 'until when customers collect on a day, by the clock of the location'",
    "COMMENT ON COLUMN location.lead_time_days IS 'working days from which supply is assumed; null: it is not'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
