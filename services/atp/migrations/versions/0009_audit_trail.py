"""An audit trail of what the ATP owns: protections, quotas, blocks, releases, corrections of stock."""

from alembic import op

from services.chassis import tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for script in (tables.AUDIT_V1, tables.AUDIT_CHAIN_V1, tables.AUDIT_APPEND_ONLY_V1):
        for statement in tables.statements(script):
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
