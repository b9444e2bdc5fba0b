"""Stock that is not available by status, with its ledger; transfers between locations; more kinds of movements."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATUSES = (
    """
    CREATE TABLE stock_status (
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        status text COLLATE "C" NOT NULL CHECK (status IN ('quality', 'blocked', 'damaged')),
        quantity bigint NOT NULL,
        PRIMARY KEY (item_id, location_id, status)
    ) WITH (fillfactor = 70)
    """,
    "COMMENT ON TABLE stock_status IS 'stock that is there and not available; guarded by the lock of its position'",
    """
    CREATE TABLE stock_status_state (
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        source text COLLATE "C" NOT NULL,
        status text COLLATE "C" NOT NULL,
        state jsonb NOT NULL,
        PRIMARY KEY (item_id, location_id, source, status)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE status_movement (
        source text COLLATE "C" NOT NULL,
        reference text COLLATE "C" NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        status text COLLATE "C" NOT NULL,
        kind text NOT NULL,
        quantity bigint NOT NULL,
        change bigint NOT NULL,
        sequence bigint,
        outcome text NOT NULL,
        occurred_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) PARTITION BY RANGE (recorded_at)
    """,
    "CREATE TABLE status_movement_default PARTITION OF status_movement DEFAULT",
    "CREATE INDEX status_movement_position ON status_movement (item_id, location_id, status)",
)
TRANSFERS = (
    """
    CREATE TABLE transfer (
        item_id text COLLATE "C" NOT NULL,
        source text COLLATE "C" NOT NULL,
        reference text COLLATE "C" NOT NULL,
        version bigint NOT NULL DEFAULT 0,
        from_location text COLLATE "C" NOT NULL DEFAULT '',
        to_location text COLLATE "C" NOT NULL DEFAULT '',
        quantity bigint NOT NULL DEFAULT 0 CHECK (quantity >= 0),
        ship_day int NOT NULL DEFAULT 0,
        due_day int NOT NULL DEFAULT 0,
        state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'cancelled', 'closed')),
        shipped bigint NOT NULL DEFAULT 0,
        received bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (item_id, source, reference)
    )
    """,
    "COMMENT ON COLUMN transfer.version IS '0: goods moved under it, and the document did not come yet'",
)
MOVEMENTS = (
    "ALTER TABLE location ADD COLUMN dock_to_stock_days int NOT NULL DEFAULT 0 CHECK (dock_to_stock_days >= 0)",
    "COMMENT ON COLUMN scheduled_receipt.due_day IS 'when it is stock: due at the dock plus days from dock to stock'",
    "COMMENT ON COLUMN transfer.due_day IS 'when it is stock: due at the dock plus days from dock to stock'",
    "ALTER TABLE movement DROP CONSTRAINT movement_kind_check",
    """
    ALTER TABLE movement ADD CONSTRAINT movement_kind_check CHECK (kind IN ('receipt', 'adjustment', 'issue',
        'shipment', 'status_change', 'transfer_shipped', 'transfer_received', 'short_pick', 'return', 'snapshot',
        'correction'))
    """,
    "ALTER TABLE fulfilment DROP CONSTRAINT fulfilment_kind_check",
    """
    ALTER TABLE fulfilment ADD CONSTRAINT fulfilment_kind_check
        CHECK (kind IN ('shipped', 'delivered', 'short_picked', 'returned'))
    """,
)


def upgrade() -> None:
    for group in (STATUSES, TRANSFERS, MOVEMENTS):
        for statement in group:
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
