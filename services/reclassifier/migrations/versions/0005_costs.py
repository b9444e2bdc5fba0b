"""What orders cost, and what customers cost by day, in billionths of the currency's major unit."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE order_cost (
        source text COLLATE "C" NOT NULL,
        order_id text COLLATE "C" NOT NULL,
        sequence bigint NOT NULL,
        customer_id text COLLATE "C",
        reference_system text COLLATE "C" NOT NULL,
        reference_id text COLLATE "C" NOT NULL,
        owner text COLLATE "C" NOT NULL,
        days jsonb NOT NULL,
        PRIMARY KEY (source, order_id)
    )
    """,
    "COMMENT ON COLUMN order_cost.days IS '[[day, cost to serve, goods, missing, 1], ...], in billionths'",
    "CREATE INDEX order_cost_owner ON order_cost (owner)",
    """
    CREATE TABLE cost_day (
        owner text COLLATE "C" NOT NULL,
        day int NOT NULL,
        to_serve_nanos numeric NOT NULL,
        goods_nanos numeric NOT NULL,
        missing bigint NOT NULL,
        told bigint NOT NULL,
        PRIMARY KEY (owner, day)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX cost_day_day ON cost_day (day)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
