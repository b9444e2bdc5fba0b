"""Validation before stock is taken: blocks of customers, and promises that wait for somebody to release them."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    # States come with versions of the program, which checks them by type; the version before reads them as text.
    "ALTER TABLE promise DROP CONSTRAINT IF EXISTS promise_state_check",
    "CREATE INDEX promise_awaiting_release ON promise (promise_id) WHERE state = 'awaiting_release'",
    """
    CREATE TABLE customer_block (
        system text COLLATE "C" NOT NULL,
        external_id text COLLATE "C" NOT NULL,
        kind text NOT NULL CHECK (kind IN ('credit', 'compliance')),
        version bigint NOT NULL,
        effect text CHECK (effect IN ('refuse', 'hold')),
        effective_to timestamptz,
        reason text NOT NULL,
        author text NOT NULL,
        changed_at timestamptz NOT NULL,
        PRIMARY KEY (system, external_id, kind)
    )
    """,
    "COMMENT ON COLUMN customer_block.effect IS 'null: lifted'",
    """
    CREATE TABLE customer_block_change (
        system text COLLATE "C" NOT NULL,
        external_id text COLLATE "C" NOT NULL,
        kind text NOT NULL,
        version bigint NOT NULL,
        effect text,
        effective_to timestamptz,
        reason text NOT NULL,
        author text NOT NULL,
        changed_at timestamptz NOT NULL,
        PRIMARY KEY (system, external_id, kind, version)
    )
    """,
    "COMMENT ON TABLE customer_block_change IS 'every block that was set or lifted, by whom and why; never changed'",
    """
    CREATE TABLE validation_release (
        promise_id uuid NOT NULL,
        decision_id uuid NOT NULL,
        author text NOT NULL,
        reason text NOT NULL,
        released_at timestamptz NOT NULL,
        waived jsonb NOT NULL,
        PRIMARY KEY (promise_id, decision_id)
    )
    """,
    "COMMENT ON TABLE validation_release IS 'who released a held order, why, and which failed checks that waived'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
