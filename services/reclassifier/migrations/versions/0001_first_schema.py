"""The first schema: orders as recorded, days of activity, customers as published, rule sets, proposals.

Ids compare by code point (collation "C"), so that the order of locks is the same in SQL and in the program. Days are
proleptic ordinals in UTC. An `owner` is whose orders count together: `c:` and a customer of the registry, or `r:` and a
reference (system/id) that nobody resolved yet.
"""

from alembic import op

from services.chassis import tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# One small row per order for ever: what makes every record of it count once. The days are sums of these.
ORDERS = (
    """
    CREATE TABLE recorded_order (
        source text COLLATE "C" NOT NULL,
        order_id text COLLATE "C" NOT NULL,
        sequence bigint NOT NULL,
        customer_id text COLLATE "C",
        reference_system text COLLATE "C" NOT NULL,
        reference_id text COLLATE "C" NOT NULL,
        owner text COLLATE "C" NOT NULL,
        ordered_on int NOT NULL,
        cancelled boolean NOT NULL,
        ordered_units bigint NOT NULL,
        ordered_value_micros numeric NOT NULL,
        ordered_unpriced_lines int NOT NULL,
        shipped_units bigint NOT NULL,
        shipped_value_micros numeric NOT NULL,
        shipped_unpriced_lines int NOT NULL,
        PRIMARY KEY (source, order_id)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX recorded_order_owner ON recorded_order (owner)",
    """
    CREATE TABLE activity_day (
        owner text COLLATE "C" NOT NULL,
        day int NOT NULL,
        orders bigint NOT NULL,
        units bigint NOT NULL,
        value_micros numeric NOT NULL,
        unpriced_lines bigint NOT NULL,
        PRIMARY KEY (owner, day)
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX activity_day_day ON activity_day (day)",
)

# due_at: '-infinity' has something new, 'infinity' waits for something to happen, else the calendar.
CUSTOMERS = (
    """
    CREATE TABLE customer (
        owner text COLLATE "C" PRIMARY KEY,
        due_at timestamptz NOT NULL,
        proposals bigint NOT NULL DEFAULT 0,
        correlation_id text,
        causation_id text,
        traceparent text
    ) WITH (fillfactor = 70)
    """,
    "CREATE INDEX customer_due ON customer (due_at, owner) WHERE due_at < 'infinity'",
    """
    CREATE TABLE segment (
        customer_id text COLLATE "C" PRIMARY KEY,
        sequence bigint NOT NULL,
        status text NOT NULL,
        merged_into text COLLATE "C",
        assignments jsonb NOT NULL
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE TABLE segment_identifier (
        system text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        customer_id text COLLATE "C" NOT NULL,
        PRIMARY KEY (system, id, customer_id)
    )
    """,
    "CREATE INDEX segment_identifier_customer ON segment_identifier (customer_id)",
)

RULES = (
    """
    CREATE TABLE rule_set (
        rule_set_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL CHECK (version > 0),
        document jsonb NOT NULL,
        author text NOT NULL,
        stored_at timestamptz NOT NULL,
        PRIMARY KEY (rule_set_id, version)
    )
    """,
    """
    CREATE TABLE sweep (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        after_owner text COLLATE "C" NOT NULL
    )
    """,
    "COMMENT ON TABLE sweep IS 'a new rule set judges all customers; those up to after_owner were made due'",
    """
    CREATE TABLE proposal (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        proposal_id uuid NOT NULL UNIQUE,
        customer_id text COLLATE "C" NOT NULL,
        from_tier text NOT NULL,
        to_tier text NOT NULL,
        rule_set_id text COLLATE "C" NOT NULL,
        rule_version bigint NOT NULL,
        as_of timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        based_on_sequence bigint NOT NULL,
        reason text NOT NULL,
        evidence jsonb NOT NULL,
        state text NOT NULL CHECK (state IN ('open', 'applied', 'overtaken', 'superseded', 'expired')),
        ended_at timestamptz,
        FOREIGN KEY (rule_set_id, rule_version) REFERENCES rule_set
    )
    """,
    """
    CREATE UNIQUE INDEX proposal_one_open ON proposal (customer_id, rule_set_id, rule_version) WHERE state = 'open'
    """,
    "CREATE SEQUENCE activity",
)

PLUMBING = (tables.OUTBOX_V1, tables.LEASE_V1, tables.PROJECTION_V1, tables.API_KEY_V1)


def upgrade() -> None:
    for statement in (*ORDERS, *CUSTOMERS, *RULES):
        op.execute(statement)
    for block in PLUMBING:
        for statement in filter(str.strip, block.split(";")):
            op.execute(statement)
