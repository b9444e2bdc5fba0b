"""Demand profiles of customers as they were published, and when whose demand is looked at next."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A profile outlives what is known of its customer: its sequence never restarts.
STATEMENTS = (
    """
    CREATE TABLE demand_profile (
        customer_id text COLLATE "C" PRIMARY KEY,
        profile text COLLATE "C" CHECK (profile IN ('smooth', 'intermittent', 'erratic', 'lumpy')),
        sequence bigint NOT NULL CHECK (sequence > 0),
        since timestamptz NOT NULL
    ) WITH (fillfactor = 80)
    """,
    "ALTER TABLE customer ADD COLUMN profile_at timestamptz NOT NULL DEFAULT 'infinity'",
    "COMMENT ON COLUMN customer.profile_at IS '-infinity: something is new; infinity: until something is told of it'",
    "CREATE INDEX customer_to_look_at ON customer (profile_at, owner) WHERE profile_at < 'infinity'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
