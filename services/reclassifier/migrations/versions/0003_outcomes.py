"""What came of orders (returns, punctuality) and what customers said, by owner and day.

Orders that were recorded before count as untold and not returned until their next record: the topic can be read again.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE recorded_order ADD COLUMN returned_units bigint NOT NULL DEFAULT 0,
        ADD COLUMN returned_value_micros numeric NOT NULL DEFAULT 0,
        ADD COLUMN returned_unpriced_lines int NOT NULL DEFAULT 0,
        ADD COLUMN punctuality smallint NOT NULL DEFAULT 0
    """,
    "COMMENT ON COLUMN recorded_order.punctuality IS '0: no delivery was told, 1: all in time, 2: one was late'",
    """
    CREATE TABLE outcome_day (
        owner text COLLATE "C" NOT NULL,
        day int NOT NULL,
        returned_units bigint NOT NULL,
        returned_value_micros numeric NOT NULL,
        orders_delivered bigint NOT NULL,
        orders_late bigint NOT NULL,
        surveys bigint NOT NULL,
        score_points bigint NOT NULL,
        complaints bigint NOT NULL,
        PRIMARY KEY (owner, day)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX outcome_day_day ON outcome_day (day)",
    """
    CREATE TABLE feedback (
        source text COLLATE "C" NOT NULL,
        reference text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        customer_id text COLLATE "C",
        reference_system text COLLATE "C" NOT NULL,
        reference_id text COLLATE "C" NOT NULL,
        owner text COLLATE "C" NOT NULL,
        day int NOT NULL,
        kind text NOT NULL CHECK (kind IN ('survey', 'complaint')),
        score int NOT NULL,
        withdrawn boolean NOT NULL,
        PRIMARY KEY (source, reference)
    )
    """,
    "CREATE INDEX feedback_owner ON feedback (owner)",
    "CREATE INDEX feedback_day ON feedback (day)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
