"""What detection looks at, for as long as a window is, and what it found.

Traces and acts leave by age; a detection is one row while it stands, and leaves some time after it ended.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE order_trace (
        source text COLLATE "C" NOT NULL,
        order_id text COLLATE "C" NOT NULL,
        ordered_at timestamptz NOT NULL,
        tier text COLLATE "C" NOT NULL,
        zone text COLLATE "C" NOT NULL,
        channel text COLLATE "C" NOT NULL,
        entered_by text COLLATE "C",
        in_full boolean NOT NULL,
        quota_reached boolean NOT NULL,
        PRIMARY KEY (source, order_id)
    )
    """,
    "CREATE INDEX order_trace_ordered_at ON order_trace (ordered_at)",
    """
    CREATE TABLE priority_act (
        source text COLLATE "C" NOT NULL,
        order_id text COLLATE "C" NOT NULL,
        sequence bigint NOT NULL,
        kind text NOT NULL,
        actor text COLLATE "C" NOT NULL,
        acted_at timestamptz NOT NULL,
        PRIMARY KEY (source, order_id, sequence)
    )
    """,
    "CREATE INDEX priority_act_acted_at ON priority_act (acted_at)",
    """
    CREATE TABLE tier_terms (
        tier text COLLATE "C" PRIMARY KEY,
        version bigint NOT NULL,
        rank int NOT NULL,
        in_full_target_bp int,
        on_time_target_bp int,
        order_quantity_max bigint,
        order_value_max_micros numeric
    )
    """,
    """
    CREATE TABLE detection (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind text COLLATE "C" NOT NULL,
        basis text COLLATE "C" NOT NULL,
        owner text COLLATE "C" NOT NULL,
        actor text COLLATE "C" NOT NULL,
        tier text COLLATE "C" NOT NULL,
        numbers jsonb NOT NULL,
        limits jsonb NOT NULL,
        sentence text NOT NULL,
        window_from timestamptz NOT NULL,
        found_at timestamptz NOT NULL,
        seen_at timestamptz NOT NULL,
        ended_at timestamptz
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE UNIQUE INDEX detection_standing ON detection (kind, basis, owner, actor, tier) WHERE ended_at IS NULL
    """,
    "COMMENT ON COLUMN detection.owner IS 'empty: of no customer; so are actor and tier'",
    """
    CREATE TABLE detection_look (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        looked_at timestamptz NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
