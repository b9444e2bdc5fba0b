"""The first schema: tiers, customers with their identifiers, tier histories, proposals and the audit trail.

Ids compare by code point (collation "C"), so that the order of locks is the same in SQL and in the program. The tier
history keeps what was known when: a row is closed by `superseded_at` and never altered otherwise. Nothing here holds
a personal field.
"""

from alembic import op

from services.chassis import tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIERS = (
    """
    CREATE TABLE tier (
        tier text COLLATE "C" PRIMARY KEY,
        version bigint NOT NULL CHECK (version > 0),
        name text NOT NULL,
        priority_rank int NOT NULL UNIQUE CHECK (priority_rank > 0),
        is_default boolean NOT NULL,
        active boolean NOT NULL,
        policy jsonb NOT NULL,
        CHECK (active OR NOT is_default)
    )
    """,
    "CREATE UNIQUE INDEX tier_one_default ON tier (is_default) WHERE is_default",
    """
    CREATE TABLE tier_version (
        tier text COLLATE "C" NOT NULL REFERENCES tier,
        version bigint NOT NULL,
        name text NOT NULL,
        priority_rank int NOT NULL,
        is_default boolean NOT NULL,
        active boolean NOT NULL,
        policy jsonb NOT NULL,
        author text NOT NULL,
        defined_at timestamptz NOT NULL,
        PRIMARY KEY (tier, version)
    )
    """,
)

CUSTOMERS = (
    """
    CREATE TABLE customer (
        customer_id uuid PRIMARY KEY,
        sequence bigint NOT NULL CHECK (sequence > 0),
        timeline_sequence bigint NOT NULL CHECK (timeline_sequence BETWEEN 1 AND sequence),
        created_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL
    ) WITH (fillfactor = 80)
    """,
    "COMMENT ON COLUMN customer.timeline_sequence IS 'sequence at the last change of the tier history'",
    """
    CREATE TABLE identifier (
        system text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        customer_id uuid NOT NULL REFERENCES customer,
        PRIMARY KEY (system, id)
    )
    """,
    "CREATE INDEX identifier_customer ON identifier (customer_id)",
)

# One exclusion constraint per layer: comparing the layer inside of one would make its index half as large again.
ASSIGNMENTS = (
    """
    CREATE TABLE assignment (
        row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        customer_id uuid NOT NULL REFERENCES customer,
        sequence bigint NOT NULL,
        tier text COLLATE "C" NOT NULL REFERENCES tier,
        kind text COLLATE "C" NOT NULL CHECK (kind IN ('assigned', 'override')),
        effective_from timestamptz NOT NULL,
        effective_to timestamptz,
        reason text NOT NULL,
        author text NOT NULL,
        rule text COLLATE "C",
        rule_version bigint,
        proposal_id text COLLATE "C",
        evidence jsonb,
        recorded_at timestamptz NOT NULL,
        superseded_at timestamptz,
        CHECK (effective_to > effective_from),
        CHECK (kind = 'assigned' OR effective_to IS NOT NULL),
        CONSTRAINT assignment_assigned_once EXCLUDE USING gist
            (customer_id WITH =, tstzrange(effective_from, effective_to) WITH &&)
            WHERE (superseded_at IS NULL AND kind = 'assigned'),
        CONSTRAINT assignment_override_once EXCLUDE USING gist
            (customer_id WITH =, tstzrange(effective_from, effective_to) WITH &&)
            WHERE (superseded_at IS NULL AND kind = 'override')
    )
    """,
    "COMMENT ON COLUMN assignment.recorded_at IS 'known from here on; superseded_at: no longer known so'",
    "CREATE UNIQUE INDEX assignment_sequence ON assignment (customer_id, sequence) WHERE superseded_at IS NULL",
)

PROPOSALS = (
    """
    CREATE TABLE proposal (
        proposal_id text COLLATE "C" PRIMARY KEY,
        position bigint GENERATED ALWAYS AS IDENTITY,
        customer_id text COLLATE "C" NOT NULL,
        from_tier text COLLATE "C" NOT NULL,
        to_tier text COLLATE "C" NOT NULL,
        rule text COLLATE "C" NOT NULL,
        rule_version bigint NOT NULL,
        based_on_sequence bigint NOT NULL,
        as_of timestamptz NOT NULL,
        reason text NOT NULL,
        evidence jsonb NOT NULL,
        author text NOT NULL,
        correlation_id text NOT NULL,
        causation_id text NOT NULL,
        traceparent text,
        received_at timestamptz NOT NULL,
        state text COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'applied', 'refused')),
        refusal text COLLATE "C",
        decided_at timestamptz,
        assignment_sequence bigint,
        CHECK ((state = 'refused') = (refusal IS NOT NULL)),
        CHECK ((state = 'applied') = (assignment_sequence IS NOT NULL)),
        CHECK ((state = 'waiting') = (decided_at IS NULL))
    )
    """,
    "CREATE INDEX proposal_waiting ON proposal (position) WHERE state = 'waiting'",
)

# `audit_head` is locked last in a transaction: positions have no gaps and follow the order of the commits, so that a
# reader that goes on after a position misses nothing.
AUDIT = (
    """
    CREATE TABLE audit (
        position bigint PRIMARY KEY,
        at timestamptz NOT NULL,
        author text NOT NULL,
        action text COLLATE "C" NOT NULL,
        subject text COLLATE "C" NOT NULL,
        detail jsonb NOT NULL
    )
    """,
    """
    CREATE TABLE audit_head (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        position bigint NOT NULL
    )
    """,
    "INSERT INTO audit_head (position) VALUES (0)",
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END
    $$
    """,
    """
    CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER tier_version_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tier_version
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
)

# The exclusion constraints need an equality operator class for uuid in GiST. Two services may want it at once.
EXTENSION = (
    "SELECT pg_advisory_xact_lock(hashtext('create extension btree_gist'))",
    "CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public",
)


def upgrade() -> None:
    chassis = (tables.OUTBOX_V1, tables.INBOX_V1, tables.IDEMPOTENCY_V1, tables.API_KEY_V1, tables.LEASE_V1)
    own = (EXTENSION, TIERS, CUSTOMERS, ASSIGNMENTS, PROPOSALS, AUDIT)
    for text in chassis:
        for statement in filter(str.strip, text.split(";")):  # the driver takes one statement at a time
            op.execute(statement)
    for group in own:
        for statement in group:
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
