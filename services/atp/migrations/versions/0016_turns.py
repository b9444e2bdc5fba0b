"""What changes by date alone: what was written before is looked at once, and from then on when its dates come."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    INSERT INTO due (kind, key, at)
    SELECT 'turn', json_build_array(item_id)::text, clock_timestamp()
    FROM (
        SELECT item_id FROM protection UNION SELECT item_id FROM protection_group
        UNION SELECT coalesce(item_id, '') FROM quota UNION SELECT item_id FROM hierarchy
    ) AS dated
    ON CONFLICT (kind, key) DO NOTHING
    """,
    """
    INSERT INTO due (kind, key, at)
    SELECT 'assignment', json_build_array(customer_id)::text, clock_timestamp()
    FROM segment WHERE jsonb_array_length(assignments) > 1
    ON CONFLICT (kind, key) DO NOTHING
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
