"""Rules of who is served first, and backorders with stored keys by them.

Places that were stored by tier rank are outdated (basis 0): the first run of an item sets its keys anew before it
serves anybody, and until then all that waits at a marked position counts ahead of newcomers.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE service_rule (
        version bigint PRIMARY KEY,
        effective_from timestamptz NOT NULL,
        effective_to timestamptz,
        author text NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        body jsonb NOT NULL
    )
    """,
    "COMMENT ON TABLE service_rule IS 'who is served first: of the versions in effect the newest counts'",
    "ALTER TABLE configuration ADD COLUMN ranks_version bigint NOT NULL DEFAULT 1",
    "COMMENT ON COLUMN configuration.ranks_version IS 'goes up when a tier gets another rank: keys are set anew'",
    "ALTER TABLE backorder ADD COLUMN lead bigint, ADD COLUMN basis bigint NOT NULL DEFAULT 0",
    "ALTER TABLE backorder ADD COLUMN further text COLLATE \"C\" NOT NULL DEFAULT ''",
    "UPDATE backorder SET lead = priority_rank, further = ordered_at",
    "ALTER TABLE backorder ALTER COLUMN lead SET NOT NULL, ALTER COLUMN further DROP DEFAULT",
    "COMMENT ON COLUMN backorder.basis IS 'rule and ranks that the key is by; a lower one than in effect: outdated'",
    "DROP INDEX backorder_service",
    "ALTER TABLE backorder DROP COLUMN priority_rank",
    "CREATE INDEX backorder_service ON backorder (item_id, lead, further, source, order_id, line)",
    "CREATE INDEX backorder_basis ON backorder (item_id, basis)",
    "ALTER TABLE position RENAME COLUMN waiting_ranks TO waiting_leads",
    "ALTER TABLE position ALTER COLUMN waiting_leads DROP DEFAULT",
    "ALTER TABLE position ALTER COLUMN waiting_leads TYPE bigint[] USING waiting_leads::bigint[]",
    "ALTER TABLE position ALTER COLUMN waiting_leads SET DEFAULT '{}'",
    "ALTER TABLE position ADD COLUMN waiting_basis bigint NOT NULL DEFAULT 0",
    "UPDATE position SET mark_after = NULL WHERE mark_after IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
