"""Kinds of sources, and versioned documents of routing rules."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE location ADD COLUMN kind text NOT NULL DEFAULT 'distribution_center'
        CHECK (kind IN ('distribution_center', 'store', 'drop_ship', 'third_party', 'make_to_order'))
    """,
    """
    CREATE TABLE routing_document (
        document_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL CHECK (version > 0),
        kind text COLLATE "C" NOT NULL CHECK (kind IN ('sourcing_rules', 'fulfilment_modes', 'substitutions')),
        effective_from timestamptz NOT NULL,
        effective_to timestamptz,
        author text NOT NULL,
        recorded_at timestamptz NOT NULL,
        rules int NOT NULL CHECK (rules >= 0),
        body jsonb NOT NULL,
        PRIMARY KEY (document_id, version)
    )
    """,
    "COMMENT ON TABLE routing_document IS 'routing rules; a version counts from effective_from to effective_to'",
    "COMMENT ON COLUMN routing_document.rules IS 'how many rules the body has'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
