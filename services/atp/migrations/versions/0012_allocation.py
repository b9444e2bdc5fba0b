"""Allocation: parts of gross supply, scopes, strict privilege, quota windows, hierarchies, regions."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

USAGE = (
    "ALTER TABLE usage DROP CONSTRAINT usage_kind_check",
    """
    ALTER TABLE usage ADD CONSTRAINT usage_kind_check CHECK (kind IN ('protection', 'quota', 'node', 'shipped'))
    """,
    "ALTER TABLE allocation_document DROP CONSTRAINT allocation_document_kind_check",
    """
    ALTER TABLE allocation_document ADD CONSTRAINT allocation_document_kind_check
        CHECK (kind IN ('protection', 'quota', 'hierarchy'))
    """,
)

# A line for several locations is kept as it was written, and has a row of `protection` for each of its positions, so
# that a check stays local. Of two scopes at one position the narrower counts, so they may overlap.
PROTECTIONS = (
    """
    ALTER TABLE protection
        ADD COLUMN basis text NOT NULL DEFAULT 'quantity' CHECK (basis IN ('quantity', 'percent', 'ratio')),
        ADD COLUMN share bigint NOT NULL DEFAULT 0 CHECK (share >= 0),
        ADD COLUMN scope smallint NOT NULL DEFAULT 0 CHECK (scope BETWEEN 0 AND 2),
        ADD COLUMN unconsumable boolean NOT NULL DEFAULT false,
        ADD COLUMN strict boolean NOT NULL DEFAULT false,
        ADD COLUMN expected bigint CHECK (expected >= 0)
    """,
    "COMMENT ON COLUMN protection.share IS 'hundredths of a percent of gross supply, or the weight of a ratio'",
    "COMMENT ON COLUMN protection.scope IS '0: this position, 1: of several locations, 2: of all locations'",
    "COMMENT ON COLUMN protection.expected IS 'demand of the tier expected in the whole period; null: not re-sized'",
    "ALTER TABLE protection DROP CONSTRAINT protection_periods_apart",
    """
    ALTER TABLE protection ADD CONSTRAINT protection_periods_apart EXCLUDE USING gist (
        item_id WITH =, location_id WITH =, tier WITH =, scope WITH =,
        int4range(start_day, end_day, '[]') WITH &&,
        tstzrange(effective_from, effective_to) WITH &&
    )
    """,
    """
    CREATE TABLE protection_group (
        document_id text COLLATE "C" NOT NULL,
        document_version bigint NOT NULL,
        line int NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        locations text[] COLLATE "C",
        tier text COLLATE "C" NOT NULL,
        start_day int NOT NULL,
        end_day int NOT NULL CHECK (end_day >= start_day),
        quantity bigint NOT NULL CHECK (quantity >= 0),
        mode text NOT NULL,
        lapse_days int NOT NULL,
        carry_stock boolean NOT NULL,
        basis text NOT NULL,
        share bigint NOT NULL,
        unconsumable boolean NOT NULL,
        strict boolean NOT NULL,
        expected bigint,
        effective_from timestamptz NOT NULL,
        effective_to timestamptz,
        PRIMARY KEY (document_id, document_version, line),
        FOREIGN KEY (document_id, document_version) REFERENCES allocation_document (document_id, version)
    )
    """,
    "COMMENT ON COLUMN protection_group.locations IS 'null: all locations'",
    "CREATE INDEX protection_group_item ON protection_group (item_id)",
)

CEILINGS = (
    """
    ALTER TABLE quota
        ADD COLUMN region text COLLATE "C",
        ADD COLUMN customer_id text COLLATE "C",
        ADD COLUMN item_group text COLLATE "C",
        ADD COLUMN backward int NOT NULL DEFAULT 0 CHECK (backward >= 0),
        ADD COLUMN forward int NOT NULL DEFAULT 0 CHECK (forward >= 0)
    """,
    "COMMENT ON COLUMN quota.quota_id IS 'of a series: its periods have one id'",
    "ALTER TABLE quota DROP CONSTRAINT quota_pkey",
    "ALTER TABLE quota ADD PRIMARY KEY (quota_id, start_day)",
    """
    CREATE TABLE hierarchy (
        hierarchy_id text COLLATE "C" PRIMARY KEY,
        document_id text COLLATE "C" NOT NULL,
        document_version bigint NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        pool text COLLATE "C" NOT NULL,
        fair_share boolean NOT NULL,
        periods jsonb NOT NULL,
        nodes jsonb NOT NULL,
        shares jsonb,
        effective_from timestamptz NOT NULL,
        effective_to timestamptz,
        FOREIGN KEY (document_id, document_version) REFERENCES allocation_document (document_id, version),
        CONSTRAINT hierarchy_one_per_item EXCLUDE USING gist (
            item_id WITH =, tstzrange(effective_from, effective_to) WITH &&
        )
    )
    """,
    "COMMENT ON COLUMN hierarchy.shares IS 'what is left of the quantities in shortage, by node and period; null: all'",
    """
    CREATE TABLE region (
        zone text COLLATE "C" PRIMARY KEY,
        region text COLLATE "C" NOT NULL
    )
    """,
)


def upgrade() -> None:
    for group in (USAGE, PROTECTIONS, CEILINGS):
        for statement in group:
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
