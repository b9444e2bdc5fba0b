"""Duplicates: into whom a customer is merged now, and every merge that there was."""

from alembic import op

from services.chassis import tables

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCRIPT = """
ALTER TABLE customer ADD COLUMN merged_into uuid REFERENCES customer CHECK (merged_into <> customer_id);
CREATE INDEX customer_merged ON customer (customer_id) WHERE merged_into IS NOT NULL;
CREATE INDEX customer_merged_into ON customer (merged_into) WHERE merged_into IS NOT NULL;
CREATE TABLE customer_merge (
    customer_id uuid NOT NULL REFERENCES customer,
    merged_into uuid NOT NULL REFERENCES customer,
    merged_at timestamptz NOT NULL,
    split_at timestamptz,
    CHECK (split_at >= merged_at)
);
CREATE INDEX customer_merge_customer ON customer_merge (customer_id, merged_at);
CREATE UNIQUE INDEX customer_merge_once ON customer_merge (customer_id) WHERE split_at IS NULL
"""


def upgrade() -> None:
    for statement in tables.statements(SCRIPT):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
