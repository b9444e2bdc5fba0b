"""Bookable daily capacity of locations, and locations that are closed for promising."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

CAPACITIES = (
    "ALTER TABLE usage DROP CONSTRAINT usage_kind_check",
    """
    ALTER TABLE usage ADD CONSTRAINT usage_kind_check
        CHECK (kind IN ('protection', 'quota', 'node', 'shipped', 'asked', 'capacity'))
    """,
    "ALTER TABLE allocation_document DROP CONSTRAINT allocation_document_kind_check",
    """
    ALTER TABLE allocation_document ADD CONSTRAINT allocation_document_kind_check
        CHECK (kind IN ('protection', 'quota', 'hierarchy', 'capacity'))
    """,
    """
    CREATE TABLE capacity (
        document_id text COLLATE "C" NOT NULL,
        document_version bigint NOT NULL,
        capacity_id text COLLATE "C" NOT NULL,
        location_id text COLLATE "C" NOT NULL,
        service text COLLATE "C",
        weekdays bigint[] NOT NULL CHECK (array_length(weekdays, 1) = 7),
        exceptions jsonb NOT NULL,
        shares jsonb NOT NULL,
        effective_from timestamptz NOT NULL,
        effective_to timestamptz,
        PRIMARY KEY (document_id, document_version, capacity_id),
        FOREIGN KEY (document_id, document_version) REFERENCES allocation_document (document_id, version),
        CONSTRAINT capacity_once EXCLUDE USING gist (
            capacity_id WITH =, tstzrange(effective_from, effective_to) WITH &&
        )
    )
    """,
    "COMMENT ON COLUMN capacity.capacity_id IS 'of a location and service, whichever document says how much it is'",
    "COMMENT ON COLUMN capacity.service IS 'null: all services together'",
    "COMMENT ON COLUMN capacity.weekdays IS 'units per day, Monday first'",
    "COMMENT ON COLUMN capacity.exceptions IS '[[day, units], ...], ascending'",
    "COMMENT ON COLUMN capacity.shares IS '[{tier, quantity, mode, lapse_days}, ...]'",
    """
    CREATE TABLE capacity_gate (
        capacity_id text COLLATE "C" PRIMARY KEY
    )
    """,
    "COMMENT ON TABLE capacity_gate IS 'whoever reads the counters of a capacity to change them holds its row'",
)

# The lock comes first; what is read after it is as of then. Who changes the configuration alone takes it exclusively.
HELD_CONFIGURATION = (
    """
    CREATE FUNCTION held_configuration() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(hashtext(current_schema()), 1);
        RETURN (SELECT version FROM configuration);
    END
    $$
    """,
)

CLOSINGS = (
    """
    CREATE TABLE location_closing (
        location_id text COLLATE "C" PRIMARY KEY,
        through_day int,
        reason text NOT NULL,
        actor text NOT NULL,
        closed_at timestamptz NOT NULL
    )
    """,
    "COMMENT ON TABLE location_closing IS 'locations that no new promise is made from'",
    "COMMENT ON COLUMN location_closing.through_day IS 'its last day; null: until it is opened again'",
)


def upgrade() -> None:
    for statement in (*CAPACITIES, *HELD_CONFIGURATION, *CLOSINGS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
