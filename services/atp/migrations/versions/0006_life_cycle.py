"""The life of a promise beyond its answer: holds that end, what falls due by date, planners' acts, stop switches.

Additive: the version before reads and writes as it did while this runs. It knows no holds, and refuses to confirm or
cancel what is held, as it does with every state that does not allow it.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

HOLDS = (
    "ALTER TABLE promise ADD COLUMN held_until timestamptz",
    "ALTER TABLE promise ADD COLUMN last_command bytea",
    "ALTER TABLE promise ADD COLUMN overrides jsonb",
    "COMMENT ON COLUMN promise.held_until IS 'until when its hold lasts or lasted; null: it never was a hold'",
    "COMMENT ON COLUMN promise.last_command IS 'fingerprint of the command that made the stored order version'",
    "COMMENT ON COLUMN promise.overrides IS 'what planners set on it, with the last day of each'",
    # Kinds and reasons come with versions of the program, which checks them by type.
    "ALTER TABLE unapplied_command DROP CONSTRAINT IF EXISTS unapplied_command_kind_check",
    "ALTER TABLE unapplied_command DROP CONSTRAINT IF EXISTS unapplied_command_reason_check",
)

# What happens by date has no event; each is a row here, worked in bounded portions by whichever process comes first.
DUE = (
    """
    CREATE TABLE due (
        kind text COLLATE "C" NOT NULL,
        key text COLLATE "C" NOT NULL,
        at timestamptz NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITH (fillfactor = 70)
    """,
    "CREATE INDEX due_at ON due (at, kind, key)",
    "COMMENT ON COLUMN due.key IS 'a JSON array: what the handler of its kind needs to find the matter again'",
)

PLANNERS = (
    """
    CREATE TABLE planner_action (
        action_id uuid NOT NULL,
        kind text NOT NULL,
        actor text NOT NULL,
        acted_at timestamptz NOT NULL,
        reason text NOT NULL,
        through_day int,
        promise_id uuid,
        item_id text COLLATE "C",
        location_id text COLLATE "C",
        details jsonb NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) PARTITION BY RANGE (recorded_at)
    """,
    "CREATE TABLE planner_action_default PARTITION OF planner_action DEFAULT",
    "CREATE INDEX planner_action_promise ON planner_action (promise_id, action_id) WHERE promise_id IS NOT NULL",
    "CREATE INDEX planner_action_id ON planner_action (action_id)",
    "ALTER TABLE position ADD COLUMN stopped_through int",
    "COMMENT ON COLUMN position.stopped_through IS 'no new promise is made from it up to and with this day'",
)


def upgrade() -> None:
    for group in (HOLDS, DUE, PLANNERS):
        for statement in group:
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
