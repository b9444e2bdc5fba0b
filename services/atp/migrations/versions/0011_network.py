"""Calendars, carrier services and zones; versions of locations and lanes; carriage by weight."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NETWORK = (
    """
    CREATE TABLE calendar (
        calendar_id text COLLATE "C" PRIMARY KEY,
        version bigint NOT NULL DEFAULT 0,
        weekdays text NOT NULL CHECK (weekdays ~ '^[01]{7}$' AND weekdays <> '0000000'),
        closed int[] NOT NULL DEFAULT '{}',
        opened int[] NOT NULL DEFAULT '{}'
    )
    """,
    "COMMENT ON COLUMN calendar.weekdays IS 'Monday first; 1: open'",
    """
    CREATE TABLE carrier_service (
        service text COLLATE "C" PRIMARY KEY,
        version bigint NOT NULL DEFAULT 0,
        pick_up_calendar text COLLATE "C",
        cut_off time,
        active boolean NOT NULL DEFAULT true
    )
    """,
    "COMMENT ON COLUMN carrier_service.cut_off IS 'by the clock of the location'",
    """
    CREATE TABLE zone_rule (
        country text COLLATE "C" NOT NULL,
        low text COLLATE "C" NOT NULL,
        high text COLLATE "C" NOT NULL,
        zone text COLLATE "C" NOT NULL,
        version bigint NOT NULL DEFAULT 0,
        active boolean NOT NULL DEFAULT true,
        PRIMARY KEY (country, low, high)
    )
    """,
    "COMMENT ON TABLE zone_rule IS 'postcodes from low to high; a prefix: both the same; a whole country: both empty'",
    """
    ALTER TABLE location ADD COLUMN version bigint NOT NULL DEFAULT 0, ADD COLUMN calendar_id text COLLATE "C"
    """,
    """
    ALTER TABLE lane ADD COLUMN version bigint NOT NULL DEFAULT 0,
        ADD COLUMN cost_kg_minor bigint NOT NULL DEFAULT 0 CHECK (cost_kg_minor >= 0)
    """,
    "ALTER TABLE configuration ADD COLUMN zones_version bigint NOT NULL DEFAULT 1",
    "COMMENT ON COLUMN configuration.zones_version IS 'goes up with the zone rules, which are many and change seldom'",
)


def upgrade() -> None:
    for statement in NETWORK:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
