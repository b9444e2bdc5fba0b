"""Variants of backorder processing in versions, and their runs."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE run_variant (
        variant_id text COLLATE "C" PRIMARY KEY,
        version bigint NOT NULL,
        next_slot timestamptz
    )
    """,
    "COMMENT ON COLUMN run_variant.next_slot IS 'when it is run next; whoever begins that run moves it on'",
    """
    CREATE TABLE run_variant_version (
        variant_id text COLLATE "C" NOT NULL REFERENCES run_variant,
        version bigint NOT NULL,
        effective_from timestamptz NOT NULL,
        effective_to timestamptz,
        author text NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        body jsonb NOT NULL,
        PRIMARY KEY (variant_id, version)
    )
    """,
    """
    CREATE TABLE backorder_run (
        run_id uuid PRIMARY KEY,
        variant_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        state text NOT NULL CHECK (state IN ('running', 'finished', 'stopped', 'failed')),
        scheduled_for timestamptz,
        started_by text NOT NULL,
        reason text NOT NULL,
        request_key text,
        started_at timestamptz NOT NULL,
        came_at timestamptz NOT NULL,
        ended_at timestamptz,
        ended_by text,
        ended_why text,
        day int NOT NULL,
        done text COLLATE "C" NOT NULL DEFAULT '',
        items text[] COLLATE "C" NOT NULL DEFAULT '{}',
        place jsonb,
        portions bigint NOT NULL DEFAULT 0,
        figures jsonb NOT NULL DEFAULT '{}'
    )
    """,
    "COMMENT ON COLUMN backorder_run.came_at IS 'when it came further the last time'",
    "COMMENT ON COLUMN backorder_run.done IS 'the last item of the groups before; items: the group at hand'",
    "COMMENT ON COLUMN backorder_run.place IS 'the last line of the group that was asked'",
    """
    CREATE UNIQUE INDEX backorder_run_slot ON backorder_run (variant_id, scheduled_for) WHERE scheduled_for IS NOT NULL
    """,
    "CREATE UNIQUE INDEX backorder_run_running ON backorder_run (variant_id) WHERE state = 'running'",
    "CREATE UNIQUE INDEX backorder_run_request ON backorder_run (request_key) WHERE request_key IS NOT NULL",
    "CREATE INDEX backorder_run_ended ON backorder_run (ended_at) WHERE ended_at IS NOT NULL",
    "CREATE INDEX backorder_run_variant ON backorder_run (variant_id, run_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
