"""What the master data says of items: units, packs, weight, groups, criticality, substitutes, backorders."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ITEM = (
    """
    ALTER TABLE item
        ADD COLUMN base_unit text COLLATE "C" NOT NULL DEFAULT 'each',
        ADD COLUMN units jsonb NOT NULL DEFAULT '[]',
        ADD COLUMN pack_size bigint NOT NULL DEFAULT 1 CHECK (pack_size > 0),
        ADD COLUMN weight_grams bigint CHECK (weight_grams >= 0),
        ADD COLUMN item_groups text[] COLLATE "C" NOT NULL DEFAULT '{}',
        ADD COLUMN criticality text CHECK (criticality IN ('vital', 'essential', 'desirable')),
        ADD COLUMN substitutes text[] COLLATE "C" NOT NULL DEFAULT '{}',
        ADD COLUMN backorder_policy text NOT NULL DEFAULT 'open'
            CHECK (backorder_policy IN ('open', 'none', 'until', 'limited', 'discontinued')),
        ADD COLUMN backorder_until int,
        ADD COLUMN backorder_limit bigint CHECK (backorder_limit >= 0),
        ADD CHECK ((backorder_policy = 'until') = (backorder_until IS NOT NULL)),
        ADD CHECK ((backorder_policy = 'limited') = (backorder_limit IS NOT NULL))
    """,
    "COMMENT ON COLUMN item.units IS 'larger units: [{unit, quantity in base units}, ...]'",
    "COMMENT ON COLUMN item.pack_size IS 'confirmed quantities are multiples of it; base units'",
    "COMMENT ON COLUMN item.backorder_until IS 'last day, a proleptic ordinal, on which backorders are taken'",
)


def upgrade() -> None:
    for statement in ITEM:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
