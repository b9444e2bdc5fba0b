"""Approved rule sets, their calendars, cuts and runs, proposals that a person decides on, and fuses."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Versions that were stored before were in force at once, which only an approval does from now on.
    """
    ALTER TABLE rule_set ADD COLUMN approved_by text, ADD COLUMN approved_at timestamptz,
        ADD CHECK ((approved_by IS NULL) = (approved_at IS NULL))
    """,
    "UPDATE rule_set SET approved_by = author, approved_at = stored_at",
    """
    CREATE TABLE calendar (
        rule_set_id text COLLATE "C" PRIMARY KEY,
        rule_version bigint NOT NULL,
        next_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE evaluation_run (
        run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        rule_set_id text COLLATE "C" NOT NULL,
        rule_version bigint NOT NULL,
        cause text NOT NULL CHECK (cause IN ('version', 'calendar')),
        started_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE rule_cut (
        rule_set_id text COLLATE "C" NOT NULL,
        rule_version bigint NOT NULL,
        run_id bigint NOT NULL REFERENCES evaluation_run,
        cut_at timestamptz NOT NULL,
        population bigint NOT NULL,
        limits jsonb NOT NULL,
        PRIMARY KEY (rule_set_id, rule_version, run_id)
    )
    """,
    "COMMENT ON COLUMN rule_cut.limits IS '[[measure, window_days, share, limit or null for nobody], ...]'",
    "ALTER TABLE sweep ADD COLUMN run_id bigint",
    "ALTER TABLE customer ADD COLUMN run_id bigint, ADD COLUMN falling_since timestamptz",
    "CREATE INDEX customer_run ON customer (run_id) WHERE run_id IS NOT NULL",
    "COMMENT ON COLUMN customer.run_id IS 'the run that waits for its judgement'",
    "COMMENT ON COLUMN customer.falling_since IS 'since when its numbers have asked for a demotion without a break'",
    "ALTER TABLE proposal DROP CONSTRAINT proposal_state_check",
    """
    ALTER TABLE proposal ADD CONSTRAINT proposal_state_check CHECK (state IN
        ('shadow', 'awaiting', 'open', 'applied', 'overtaken', 'superseded', 'expired', 'rejected'))
    """,
    """
    ALTER TABLE proposal ADD COLUMN run_id bigint, ADD COLUMN held_by text, ADD COLUMN published_at timestamptz,
        ADD COLUMN decided_by text, ADD COLUMN decision_reason text
    """,
    "UPDATE proposal SET published_at = as_of",
    "DROP INDEX proposal_one_open",
    """
    CREATE UNIQUE INDEX proposal_one_open ON proposal (customer_id, rule_set_id, rule_version)
        WHERE state IN ('shadow', 'awaiting', 'open')
    """,
    "CREATE INDEX proposal_customer ON proposal (customer_id, ended_at)",
    "CREATE INDEX proposal_published ON proposal (rule_set_id, published_at) WHERE held_by IS NULL",
    "CREATE INDEX proposal_run ON proposal (run_id, position) WHERE run_id IS NOT NULL",
    """
    CREATE TABLE fuse (
        rule_set_id text COLLATE "C" PRIMARY KEY,
        sequence bigint NOT NULL,
        blown_at timestamptz,
        rule_version bigint NOT NULL,
        moves bigint NOT NULL,
        limit_moves bigint NOT NULL
    )
    """,
    "COMMENT ON COLUMN fuse.blown_at IS 'null: it was reset'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
