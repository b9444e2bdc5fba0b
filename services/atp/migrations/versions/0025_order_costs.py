"""What was told of the cost of each order."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE costed_order (
        promise_id uuid PRIMARY KEY,
        sequence bigint NOT NULL,
        days jsonb NOT NULL
    ) PARTITION BY RANGE (promise_id)
    """,
    "CREATE TABLE costed_order_default PARTITION OF costed_order DEFAULT",
    # Orders measured before were told nothing of: they are measured again, once, in the background.
    "UPDATE measuring SET through_xid = 0 WHERE EXISTS (SELECT FROM measure_total)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
