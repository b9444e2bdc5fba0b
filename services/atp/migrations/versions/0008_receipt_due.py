"""What was due when: a receipt that is put off keeps the day on which promises were planned.

The scheduled receipt itself has its newest version only; whether supply came late is judged by the day that was told
before a promise was made.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE receipt_due (
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        source text COLLATE "C" NOT NULL,
        reference text COLLATE "C" NOT NULL,
        due_day int NOT NULL,
        quantity bigint NOT NULL,
        told_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) PARTITION BY RANGE (recorded_at)
    """,
    "CREATE TABLE receipt_due_default PARTITION OF receipt_due DEFAULT",
    "CREATE INDEX receipt_due_item ON receipt_due (item_id)",
    "COMMENT ON COLUMN receipt_due.told_at IS 'business time'",
    """
    CREATE FUNCTION keep_receipt_due() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' OR (NEW.due_day, NEW.quantity) IS DISTINCT FROM (OLD.due_day, OLD.quantity) THEN
            INSERT INTO receipt_due (item_id, location_id, source, reference, due_day, quantity, told_at)
            VALUES (NEW.item_id, NEW.location_id, NEW.source, NEW.reference, NEW.due_day, NEW.quantity,
                coalesce((SELECT at FROM business_clock.replay), clock_timestamp()));
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER scheduled_receipt_due AFTER INSERT OR UPDATE ON scheduled_receipt
    FOR EACH ROW EXECUTE FUNCTION keep_receipt_due()
    """,
    """
    INSERT INTO receipt_due (item_id, location_id, source, reference, due_day, quantity, told_at)
    SELECT item_id, location_id, source, reference, due_day, quantity, clock_timestamp() FROM scheduled_receipt
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
