"""Stock that is set aside for old backorders that take all that they need or nothing."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE position ADD COLUMN set_aside jsonb",
    "COMMENT ON COLUMN position.set_aside IS 'place in the order of service, its basis, last day, units by day'",
    "CREATE INDEX position_set_aside ON position (item_id) WHERE set_aside IS NOT NULL",
    "ALTER TABLE backorder ADD COLUMN set_aside boolean NOT NULL DEFAULT false",
    "COMMENT ON COLUMN backorder.set_aside IS 'stock of some position is set aside for its order'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
