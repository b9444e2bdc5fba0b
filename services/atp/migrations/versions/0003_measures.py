"""Costs, what was reported of orders, and the measures that are kept from the ledger.

`recorded_xid` is the transaction that wrote a row last: the measuring reads what was written by transactions that had
not ended when it last looked. (A number taken before the commit would lose rows that commit late.)
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHANGED = (
    "ALTER TABLE promise ADD COLUMN recorded_xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint",
    "ALTER TABLE fulfilment ADD COLUMN recorded_xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint",
    "CREATE INDEX promise_recorded ON promise USING brin (recorded_xid) WITH (pages_per_range = 16)",
    "CREATE INDEX fulfilment_recorded ON fulfilment USING brin (recorded_xid) WITH (pages_per_range = 16)",
    "CREATE INDEX fulfilment_promise ON fulfilment (promise_id)",
    """
    CREATE FUNCTION set_recorded_xid() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.recorded_xid := pg_current_xact_id()::text::bigint; RETURN NEW; END $$
    """,
    """
    CREATE TRIGGER promise_recorded BEFORE UPDATE ON promise FOR EACH ROW EXECUTE FUNCTION set_recorded_xid()
    """,
    "COMMENT ON COLUMN promise.recorded_xid IS 'the transaction that wrote the row last'",
    "COMMENT ON COLUMN fulfilment.recorded_xid IS 'the transaction that wrote the row'",
)

COSTS = (
    """
    CREATE TABLE cost_rate (
        kind text NOT NULL CHECK (kind IN ('landed', 'activity')),
        name text COLLATE "C" NOT NULL,
        effective_day int NOT NULL,
        version bigint NOT NULL,
        amount_minor numeric CHECK (amount_minor >= 0),
        author text NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (kind, name, effective_day)
    )
    """,
    "COMMENT ON COLUMN cost_rate.amount_minor IS 'of a base unit or of an activity, once; null: withdrawn'",
    """
    CREATE TABLE order_report (
        source text COLLATE "C" NOT NULL,
        reference text COLLATE "C" NOT NULL,
        kind text NOT NULL CHECK (kind IN ('activity', 'discrepancy')),
        what text NOT NULL,
        promise_id uuid,
        order_source text COLLATE "C" NOT NULL,
        order_id text COLLATE "C" NOT NULL,
        line text COLLATE "C",
        quantity bigint NOT NULL CHECK (quantity > 0),
        actual_cost_minor bigint,
        outcome text NOT NULL,
        occurred_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        recorded_xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint
    ) PARTITION BY RANGE (recorded_at)
    """,
    "CREATE TABLE order_report_default PARTITION OF order_report DEFAULT",
    "CREATE INDEX order_report_reference ON order_report (order_source, order_id, source, reference)",
    "CREATE INDEX order_report_promise ON order_report (promise_id)",
    "CREATE INDEX order_report_recorded ON order_report USING brin (recorded_xid) WITH (pages_per_range = 16)",
)

MEASURES = (
    """
    CREATE TABLE measuring (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        through_xid bigint NOT NULL
    )
    """,
    "INSERT INTO measuring (through_xid) VALUES (0)",
    "COMMENT ON COLUMN measuring.through_xid IS 'every change by an earlier transaction is measured'",
    """
    CREATE TABLE measured_order (
        promise_id uuid PRIMARY KEY,
        tier text COLLATE "C" NOT NULL,
        amounts jsonb NOT NULL,
        missed_from int,
        missed_to int
    ) PARTITION BY RANGE (promise_id)
    """,
    "CREATE TABLE measured_order_default PARTITION OF measured_order DEFAULT",
    "CREATE INDEX measured_order_missed ON measured_order (tier, missed_from) WHERE missed_from IS NOT NULL",
    "COMMENT ON COLUMN measured_order.amounts IS 'what it adds to the totals: [[day, measure, detail, amount], ...]'",
    "COMMENT ON COLUMN measured_order.missed_from IS 'first and last day on which a target may have been missed'",
    """
    CREATE TABLE measure_total (
        day int NOT NULL,
        tier text COLLATE "C" NOT NULL,
        measure text COLLATE "C" NOT NULL,
        detail text COLLATE "C" NOT NULL,
        amount bigint NOT NULL,
        PRIMARY KEY (day, tier, measure, detail)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE service_month (
        month int PRIMARY KEY,
        closed_at timestamptz NOT NULL,
        closed_by text NOT NULL,
        figures jsonb NOT NULL
    )
    """,
    "COMMENT ON COLUMN service_month.month IS 'first day'",
    """
    CREATE TABLE service_correction (
        month int NOT NULL REFERENCES service_month,
        number int NOT NULL,
        recorded_at timestamptz NOT NULL,
        cause text NOT NULL CHECK (cause IN ('late_event', 'cost_input')),
        reference text[] NOT NULL,
        figures jsonb NOT NULL,
        PRIMARY KEY (month, number)
    )
    """,
    "COMMENT ON COLUMN service_correction.figures IS 'by tier, what is added to the figures of the month'",
    """
    CREATE TABLE service_breach (
        tier text COLLATE "C" NOT NULL,
        month int NOT NULL,
        measure text COLLATE "C" NOT NULL,
        sequence bigint NOT NULL,
        state text NOT NULL CHECK (state IN ('opened', 'recovered', 'closed')),
        document jsonb NOT NULL,
        PRIMARY KEY (tier, month, measure)
    )
    """,
)


def upgrade() -> None:
    for group in (CHANGED, COSTS, MEASURES):
        for statement in group:
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
