"""The first schema: positions, configuration, promises and their ledger, backorders, projections.

Ids compare by code point (collation "C"), so that the order of locks is the same in SQL and in the program.
Tables that grow are partitioned: those keyed by a promise or decision id by ranges of that id (a UUIDv7 starts with its
time, so a range of ids is a month and every look-up by id prunes), the others by the time of recording. Each has a
DEFAULT partition as a net; `services.atp.adapters.partitions` makes the months ahead.
"""

from alembic import op

from services.chassis import tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# One row per position holds what a decision reads. Half a page is left free, so that its update stays on the page.
POSITIONS = (
    """
    CREATE TABLE position (
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL DEFAULT 1,
        on_hand bigint NOT NULL DEFAULT 0,
        buffer bigint NOT NULL DEFAULT 0 CHECK (buffer >= 0),
        receipt_days int[] NOT NULL DEFAULT '{}',
        receipt_confirmed bigint[] NOT NULL DEFAULT '{}',
        receipt_planned bigint[] NOT NULL DEFAULT '{}',
        receipt_assumed bigint[] NOT NULL DEFAULT '{}',
        commit_days int[] NOT NULL DEFAULT '{}',
        commit_quantities bigint[] NOT NULL DEFAULT '{}',
        waiting_ranks int[] NOT NULL DEFAULT '{}',
        waiting_quantities bigint[] NOT NULL DEFAULT '{}',
        marked_at timestamptz,
        mark_cause text,
        mark_after jsonb,
        PRIMARY KEY (item_id, location_id),
        CHECK (cardinality(receipt_days) = cardinality(receipt_confirmed)),
        CHECK (cardinality(receipt_days) = cardinality(receipt_planned)),
        CHECK (cardinality(receipt_days) = cardinality(receipt_assumed)),
        CHECK (cardinality(commit_days) = cardinality(commit_quantities)),
        CHECK (cardinality(waiting_ranks) = cardinality(waiting_quantities))
    ) WITH (fillfactor = 50)
    """,
    "COMMENT ON COLUMN position.marked_at IS 'quantity was freed that has not been offered to backorders yet'",
    "COMMENT ON COLUMN position.mark_after IS 'service key of the last backorder served since the mark; null: none'",
    "CREATE INDEX position_marked ON position (marked_at, item_id, location_id) WHERE marked_at IS NOT NULL",
    """
    CREATE TABLE usage (
        kind text COLLATE "C" NOT NULL CHECK (kind IN ('protection', 'quota')),
        limit_id text COLLATE "C" NOT NULL,
        period_start int NOT NULL,
        consumed bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (kind, limit_id, period_start)
    ) WITH (fillfactor = 50)
    """,
)

# Supply as its sources tell it; a position's receipts and on hand are the sums of these.
SUPPLY = (
    """
    CREATE TABLE stock_state (
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        source text COLLATE "C" NOT NULL,
        state jsonb NOT NULL,
        PRIMARY KEY (item_id, location_id, source)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE movement (
        source text COLLATE "C" NOT NULL,
        reference text COLLATE "C" NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        kind text NOT NULL CHECK (kind IN ('receipt', 'adjustment', 'issue', 'shipment', 'snapshot', 'correction')),
        quantity bigint NOT NULL,
        on_hand_change bigint NOT NULL,
        sequence bigint,
        receipt_reference text COLLATE "C",
        outcome text NOT NULL,
        occurred_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) PARTITION BY RANGE (recorded_at)
    """,
    "CREATE TABLE movement_default PARTITION OF movement DEFAULT",
    "CREATE INDEX movement_reference ON movement (item_id, location_id, source, reference)",
    """
    CREATE TABLE scheduled_receipt (
        source text COLLATE "C" NOT NULL,
        reference text COLLATE "C" NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        quantity bigint NOT NULL CHECK (quantity >= 0),
        received bigint NOT NULL DEFAULT 0 CHECK (received >= 0),
        due_day int NOT NULL,
        certainty text NOT NULL CHECK (certainty IN ('confirmed', 'planned')),
        version bigint NOT NULL,
        PRIMARY KEY (item_id, location_id, source, reference)
    )
    """,
    """
    CREATE TABLE fulfilment (
        source text COLLATE "C" NOT NULL,
        reference text COLLATE "C" NOT NULL,
        kind text NOT NULL CHECK (kind IN ('shipped', 'delivered')),
        promise_id uuid,
        order_source text COLLATE "C" NOT NULL,
        order_id text COLLATE "C" NOT NULL,
        line text COLLATE "C" NOT NULL,
        quantity bigint NOT NULL,
        actual_cost_minor bigint,
        carrier text,
        outcome text NOT NULL,
        occurred_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) PARTITION BY RANGE (recorded_at)
    """,
    "CREATE TABLE fulfilment_default PARTITION OF fulfilment DEFAULT",
    "CREATE INDEX fulfilment_reference ON fulfilment (order_source, order_id, source, reference)",
)

# The exclusion constraint needs an equality operator class for text in GiST. Two services may want it at once.
EXTENSION = (
    "SELECT pg_advisory_xact_lock(hashtext('create extension btree_gist'))",
    "CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public",
)

# What planners set. `configuration.version` goes up with every change of lanes, locations, allocations and tiers: a
# process keeps them in memory under that number, and each decision reads the number in its own transaction.
CONFIGURATION = (
    """
    CREATE TABLE configuration (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        version bigint NOT NULL
    )
    """,
    "INSERT INTO configuration (version) VALUES (1)",
    """
    CREATE TABLE item (
        item_id text COLLATE "C" PRIMARY KEY,
        version bigint NOT NULL,
        active boolean NOT NULL DEFAULT true,
        planned_receipts_count boolean NOT NULL DEFAULT false,
        checking_horizon_days int,
        past_due_supply_days int NOT NULL DEFAULT 7
    )
    """,
    """
    CREATE TABLE location (
        location_id text COLLATE "C" PRIMARY KEY,
        active boolean NOT NULL DEFAULT true,
        processing_days int NOT NULL DEFAULT 0 CHECK (processing_days >= 0),
        zone_name text NOT NULL DEFAULT 'UTC'
    )
    """,
    "COMMENT ON COLUMN location.zone_name IS 'IANA time zone of the location'",
    """
    CREATE TABLE lane (
        zone text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        service text COLLATE "C" NOT NULL,
        carrier_class text COLLATE "C" NOT NULL,
        rank int NOT NULL DEFAULT 1,
        transit_days int NOT NULL CHECK (transit_days >= 0),
        cost_shipment_minor bigint NOT NULL DEFAULT 0 CHECK (cost_shipment_minor >= 0),
        cost_unit_minor bigint NOT NULL DEFAULT 0 CHECK (cost_unit_minor >= 0),
        active boolean NOT NULL DEFAULT true,
        PRIMARY KEY (zone, location_id, service)
    )
    """,
    """
    CREATE TABLE allocation_document (
        document_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        kind text NOT NULL CHECK (kind IN ('protection', 'quota')),
        effective_from timestamptz NOT NULL,
        effective_to timestamptz,
        author text NOT NULL,
        body jsonb NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (document_id, version)
    )
    """,
    """
    CREATE TABLE protection (
        protection_id text COLLATE "C" PRIMARY KEY,
        document_id text COLLATE "C" NOT NULL,
        document_version bigint NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        tier text COLLATE "C" NOT NULL,
        start_day int NOT NULL,
        end_day int NOT NULL CHECK (end_day >= start_day),
        quantity bigint NOT NULL CHECK (quantity >= 0),
        mode text NOT NULL DEFAULT 'prioritised' CHECK (mode IN ('prioritised', 'core')),
        lapse_days int NOT NULL DEFAULT 0 CHECK (lapse_days >= 0),
        carry_stock boolean NOT NULL DEFAULT false,
        effective_from timestamptz NOT NULL,
        effective_to timestamptz,
        FOREIGN KEY (document_id, document_version) REFERENCES allocation_document (document_id, version),
        CONSTRAINT protection_periods_apart EXCLUDE USING gist (
            item_id WITH =, location_id WITH =, tier WITH =,
            int4range(start_day, end_day, '[]') WITH &&,
            tstzrange(effective_from, effective_to) WITH &&
        )
    )
    """,
    "CREATE INDEX protection_position ON protection (item_id, location_id)",
    """
    CREATE TABLE quota (
        quota_id text COLLATE "C" PRIMARY KEY,
        document_id text COLLATE "C" NOT NULL,
        document_version bigint NOT NULL,
        start_day int NOT NULL,
        end_day int NOT NULL CHECK (end_day >= start_day),
        quantity bigint NOT NULL CHECK (quantity >= 0),
        tier text COLLATE "C",
        item_id text COLLATE "C",
        zone text COLLATE "C",
        channel text COLLATE "C",
        effective_from timestamptz NOT NULL,
        effective_to timestamptz,
        FOREIGN KEY (document_id, document_version) REFERENCES allocation_document (document_id, version)
    )
    """,
)

# Identities stay for ever; promises, commitments and decision records are archived by month.
PROMISES = (
    """
    CREATE TABLE order_identity (
        source text COLLATE "C" NOT NULL,
        order_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        state text NOT NULL CHECK (state IN ('answered', 'cancelled_before')),
        promise_id uuid,
        fingerprint bytea,
        PRIMARY KEY (source, order_id),
        CHECK ((state = 'answered') = (promise_id IS NOT NULL AND fingerprint IS NOT NULL))
    )
    """,
    """
    CREATE TABLE unapplied_command (
        source text COLLATE "C" NOT NULL,
        order_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        kind text NOT NULL CHECK (kind IN ('place', 'confirm', 'cancel')),
        reason text NOT NULL CHECK (reason IN ('older_version', 'other_content', 'wrong_state')),
        stored_version bigint NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) PARTITION BY RANGE (recorded_at)
    """,
    "CREATE TABLE unapplied_command_default PARTITION OF unapplied_command DEFAULT",
    """
    CREATE TABLE promise (
        promise_id uuid PRIMARY KEY,
        source text COLLATE "C" NOT NULL,
        order_id text COLLATE "C" NOT NULL,
        revision int NOT NULL,
        record_sequence int NOT NULL,
        state text NOT NULL CHECK (state IN ('promised', 'confirmed', 'cancelled', 'refused', 'closed')),
        channel text COLLATE "C" NOT NULL,
        customer_id text COLLATE "C",
        decision_id uuid NOT NULL,
        decision_index int NOT NULL,
        content bytea NOT NULL,
        document bytea NOT NULL
    ) PARTITION BY RANGE (promise_id)
    """,
    "CREATE TABLE promise_default PARTITION OF promise DEFAULT",
    "COMMENT ON COLUMN promise.content IS 'the order as asked, canonical: what its fingerprint is taken of'",
    "COMMENT ON COLUMN promise.document IS 'the answer, the very bytes'",
    "COMMENT ON COLUMN promise.record_sequence IS 'the sequence of the last record on orders.recorded.v1'",
    """
    CREATE TABLE promise_history (
        promise_id uuid NOT NULL,
        revision int NOT NULL,
        cause text NOT NULL,
        replaced_at timestamptz NOT NULL,
        document bytea NOT NULL,
        PRIMARY KEY (promise_id, revision)
    ) PARTITION BY RANGE (promise_id)
    """,
    "CREATE TABLE promise_history_default PARTITION OF promise_history DEFAULT",
    "COMMENT ON COLUMN promise_history.cause IS 'what replaced this revision'",
    """
    CREATE TABLE commitment (
        promise_id uuid NOT NULL,
        line text COLLATE "C" NOT NULL,
        part int NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        service text COLLATE "C" NOT NULL,
        quantity bigint NOT NULL CHECK (quantity > 0),
        open bigint NOT NULL CHECK (open >= 0),
        shipped bigint NOT NULL DEFAULT 0 CHECK (shipped >= 0),
        delivered bigint NOT NULL DEFAULT 0 CHECK (delivered >= 0),
        assumed boolean NOT NULL DEFAULT false,
        available_day int NOT NULL,
        ship_day int NOT NULL,
        arrival_day int NOT NULL,
        cost_minor bigint NOT NULL,
        postings jsonb,
        tier text COLLATE "C" NOT NULL,
        decision_id uuid NOT NULL,
        decision_index int NOT NULL,
        PRIMARY KEY (promise_id, line, part),
        CHECK (open + shipped <= quantity)
    ) PARTITION BY RANGE (promise_id)
    """,
    "CREATE TABLE commitment_default PARTITION OF commitment DEFAULT",
    "COMMENT ON COLUMN commitment.open IS 'held or committed and not yet shipped; what was given back is in neither'",
    "COMMENT ON COLUMN commitment.assumed IS 'beyond the horizon: it has an assumed receipt on its day'",
    "COMMENT ON COLUMN commitment.quantity IS 'as taken; it never changes'",
    "COMMENT ON COLUMN commitment.tier IS 'the tier that counted when it was decided'",
    "COMMENT ON COLUMN commitment.decision_id IS 'the batch that took it, by its step decision_index'",
    "COMMENT ON COLUMN commitment.postings IS 'where it was taken: [[kind, limit, period start, quantity], ...]'",
    """
    CREATE TABLE decision_batch (
        decision_id uuid PRIMARY KEY,
        decided_at timestamptz NOT NULL,
        engine_version text NOT NULL,
        digest bytea NOT NULL,
        input bytea NOT NULL
    ) PARTITION BY RANGE (decision_id)
    """,
    "CREATE TABLE decision_batch_default PARTITION OF decision_batch DEFAULT",
    "COMMENT ON COLUMN decision_batch.input IS 'book and steps of the batch: JSON, zlib; decisions follow from it'",
)

BACKORDERS = (
    """
    CREATE TABLE backorder (
        promise_id uuid NOT NULL,
        line text COLLATE "C" NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        priority_rank int NOT NULL,
        requested_day int NOT NULL,
        ordered_at text COLLATE "C" NOT NULL,
        source text COLLATE "C" NOT NULL,
        order_id text COLLATE "C" NOT NULL,
        quantity bigint NOT NULL CHECK (quantity > 0),
        customer_id text COLLATE "C",
        customer_system text COLLATE "C" NOT NULL,
        customer_ref text COLLATE "C" NOT NULL,
        PRIMARY KEY (promise_id, line)
    )
    """,
    """
    CREATE INDEX backorder_service ON backorder
        (item_id, priority_rank, requested_day, ordered_at, source, order_id, line)
    """,
    "COMMENT ON COLUMN backorder.ordered_at IS 'UTC as text of fixed width: compares as the domain compares it'",
    "CREATE INDEX backorder_customer ON backorder (customer_id) WHERE customer_id IS NOT NULL",
    "CREATE INDEX backorder_customer_ref ON backorder (customer_system, customer_ref)",
)

# What the registry published, as far as it was read. Tiers are kept under `configuration.version`.
PROJECTIONS = (
    """
    CREATE TABLE tier (
        tier text COLLATE "C" PRIMARY KEY,
        version bigint NOT NULL,
        priority_rank int NOT NULL,
        is_default boolean NOT NULL,
        active boolean NOT NULL,
        policy jsonb NOT NULL
    )
    """,
    """
    CREATE TABLE segment (
        customer_id text COLLATE "C" PRIMARY KEY,
        sequence bigint NOT NULL,
        status text NOT NULL CHECK (status IN ('active', 'merged', 'deleted')),
        merged_into text COLLATE "C",
        assignments jsonb NOT NULL
    )
    """,
    """
    CREATE TABLE segment_identifier (
        system text COLLATE "C" NOT NULL,
        external_id text COLLATE "C" NOT NULL,
        customer_id text COLLATE "C" NOT NULL,
        PRIMARY KEY (system, external_id)
    )
    """,
    "CREATE INDEX segment_identifier_customer ON segment_identifier (customer_id)",
    """
    CREATE TABLE segment_heartbeat (
        partition int PRIMARY KEY,
        beat_at timestamptz NOT NULL
    ) WITH (fillfactor = 50)
    """,
)


def upgrade() -> None:
    chassis = (
        tables.OUTBOX_V1,
        tables.INBOX_V1,
        tables.IDEMPOTENCY_V1,
        tables.PROJECTION_V1,
        tables.API_KEY_V1,
        tables.LEASE_V1,
    )
    for script in chassis:
        for statement in script.split(";\n"):
            if statement.strip():
                op.execute(statement)
    for group in (POSITIONS, SUPPLY, EXTENSION, CONFIGURATION, PROMISES, BACKORDERS, PROJECTIONS):
        for statement in group:
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
