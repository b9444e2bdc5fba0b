"""How far a run over all customers is: it judges them where it finds them, and no longer makes them due first.

`customer.run_id` stays for customers that a version before this one has made due.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE evaluation_run ADD COLUMN customers bigint, ADD COLUMN judged bigint NOT NULL DEFAULT 0,
        ADD COLUMN ended_at timestamptz
    """,
    "COMMENT ON COLUMN evaluation_run.customers IS 'how many there were at its start; null: not counted'",
    "COMMENT ON COLUMN evaluation_run.ended_at IS 'null: under way, or begun again as another run'",
    "COMMENT ON TABLE sweep IS 'the run under way; those up to after_owner were judged'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
