"""What takes effect by date, who changed last, how many overrides were made, and the rules of change.

`assignment_due` holds the boundaries of tier histories that are still to be told. `customer_change` has one row for
each customer: the position of the audit entry of its last change, which follows the order of the commits, so that a
reader that goes on after a place misses nothing. Planned changes from before were told when they were decided and are
told once more when they take effect.
"""

from alembic import op

from services.chassis import tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE assignment_due (
    customer_id uuid NOT NULL REFERENCES customer,
    at timestamptz NOT NULL,
    PRIMARY KEY (customer_id, at)
);
CREATE INDEX assignment_due_at ON assignment_due (at, customer_id);
INSERT INTO assignment_due (customer_id, at)
    SELECT customer_id, boundary FROM assignment, unnest(ARRAY[effective_from, effective_to]) AS boundary
    WHERE superseded_at IS NULL AND boundary > clock_timestamp()
    ON CONFLICT DO NOTHING;

CREATE TABLE customer_change (
    customer_id uuid PRIMARY KEY REFERENCES customer,
    position bigint NOT NULL
);
CREATE INDEX customer_change_place ON customer_change (position, customer_id);
INSERT INTO customer_change (customer_id, position) SELECT customer_id, 0 FROM customer;

CREATE TABLE override_use (
    tier text COLLATE "C" NOT NULL REFERENCES tier,
    month date NOT NULL,
    used int NOT NULL CHECK (used > 0),
    PRIMARY KEY (tier, month)
);
COMMENT ON COLUMN override_use.month IS 'its first day, UTC: that of the decision';

CREATE TABLE change_rules (
    version bigint PRIMARY KEY CHECK (version > 0),
    document jsonb NOT NULL,
    author text NOT NULL,
    defined_at timestamptz NOT NULL
);
CREATE TRIGGER change_rules_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON change_rules
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    for statement in tables.statements(SCRIPT):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
