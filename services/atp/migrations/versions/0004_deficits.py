"""Deficits by part of a promise, the positions where they have to be looked at, and what that needs to be fast."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DEFICITS = (
    """
    CREATE TABLE deficit (
        promise_id uuid NOT NULL,
        line text COLLATE "C" NOT NULL,
        part int NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        source text COLLATE "C" NOT NULL,
        order_id text COLLATE "C" NOT NULL,
        customer_id text COLLATE "C",
        tier text COLLATE "C" NOT NULL,
        promised bigint NOT NULL CHECK (promised > 0),
        quantity bigint NOT NULL CHECK (quantity > 0),
        available_day int NOT NULL,
        ship_day int NOT NULL,
        arrival_day int NOT NULL,
        covered_day int,
        cause text NOT NULL,
        since timestamptz NOT NULL,
        PRIMARY KEY (promise_id, line, part)
    )
    """,
    "COMMENT ON TABLE deficit IS 'what of a promise supply does not cover, pegged in reverse order of service'",
    "COMMENT ON COLUMN deficit.covered_day IS 'the first day on which it would be covered; null: no day'",
    "CREATE INDEX deficit_position ON deficit (item_id, location_id)",
    """
    CREATE TABLE deficit_review (
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        cause text NOT NULL,
        asked_at timestamptz NOT NULL,
        PRIMARY KEY (item_id, location_id)
    )
    """,
    "COMMENT ON TABLE deficit_review IS 'positions whose deficits have to be looked at'",
    """
    CREATE TABLE supply_day (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        day int NOT NULL
    )
    """,
    "COMMENT ON TABLE supply_day IS 'the last day whose start was looked at: receipts too late, horizons reached'",
    "INSERT INTO supply_day (day) VALUES (0)",
    "CREATE INDEX commitment_open ON commitment (item_id, location_id, available_day) WHERE open > 0",
)


def upgrade() -> None:
    for statement in DEFICITS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
