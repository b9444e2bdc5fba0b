"""What warehouse and carrier are told of a promised quantity, and when a service's carrier comes."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE commitment ADD COLUMN routing text")
    op.execute(
        "COMMENT ON COLUMN commitment.routing IS"
        " 'the routing of the schedule line as JSON, as it was decided; null: no lane says how it travels'"
    )
    op.execute("ALTER TABLE carrier_service ADD COLUMN pick_up_time time")


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
