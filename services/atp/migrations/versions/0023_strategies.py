"""What is promised later than it is wanted stands in the order of service as what waits does, and may move up.

Lines that were promised late before are entered when their promise changes next.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE backorder ADD COLUMN late boolean NOT NULL DEFAULT false",
    "ALTER TABLE backorder ADD COLUMN unmet boolean NOT NULL DEFAULT false",
    "COMMENT ON COLUMN backorder.late IS 'promised later than wanted: no open rest, and it may come earlier'",
    "COMMENT ON COLUMN backorder.unmet IS 'must be whole on its date, and it was published that it is not'",
    "ALTER TABLE backorder DROP CONSTRAINT backorder_pkey, ADD PRIMARY KEY (promise_id, line, late)",
    "CREATE INDEX backorder_unmet ON backorder (item_id) WHERE unmet",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
