"""Golden records, and the one table of personal fields.

What was known of a customer is in the audit trail, but for personal fields, of which it holds the names only.
"""

from alembic import op

from services.chassis import tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE customer_record (
    customer_id uuid PRIMARY KEY REFERENCES customer,
    account_owner text,
    customer_type text COLLATE "C",
    industry text COLLATE "C",
    strategic boolean NOT NULL,
    contract jsonb
);
CREATE TABLE customer_personal (
    customer_id uuid PRIMARY KEY REFERENCES customer,
    fields jsonb NOT NULL
);
COMMENT ON TABLE customer_personal IS 'the only place of personal fields'
"""


def upgrade() -> None:
    for statement in tables.statements(SCRIPT):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
