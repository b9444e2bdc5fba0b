"""An index for the promises of a customer, the newest first."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX promise_customer ON promise (customer_id, promise_id) WHERE customer_id IS NOT NULL")


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
