"""Chain the audit trail.

Entries from before are chained at the next start, and those that the version before writes until it ends by the next
entry after them.
"""

from alembic import op

from services.chassis import tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in tables.statements(tables.AUDIT_CHAIN_V1):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
