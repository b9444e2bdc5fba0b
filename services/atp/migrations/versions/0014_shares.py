"""Allocation: what was taken today of a re-sized protection, and what left under one that is divided over locations."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE usage DROP CONSTRAINT usage_kind_check",
    """
    ALTER TABLE usage ADD CONSTRAINT usage_kind_check
        CHECK (kind IN ('protection', 'quota', 'node', 'shipped', 'asked'))
    """,
    """
    INSERT INTO usage (kind, limit_id, period_start, consumed)
    SELECT 'shipped', p.protection_id, p.start_day, sum(-m.quantity)::bigint
    FROM protection p JOIN movement m ON m.item_id = p.item_id AND m.location_id = p.location_id
        AND m.kind = 'shipment'
        AND (m.occurred_at AT TIME ZONE 'UTC')::date - DATE '0001-01-01' + 1 BETWEEN CASE
            WHEN p.carry_stock
            THEN least(p.start_day, (p.effective_from AT TIME ZONE 'UTC')::date - DATE '0001-01-01' + 1)
            ELSE p.start_day END AND p.end_day
    WHERE (p.basis <> 'quantity' OR p.scope > 0) AND p.effective_to IS NULL GROUP BY 2, 3
    ON CONFLICT (kind, limit_id, period_start) DO UPDATE SET consumed = excluded.consumed
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
