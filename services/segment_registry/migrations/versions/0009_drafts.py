"""Change requests that are drafts, and by which request a version of a tier was made."""

from alembic import op

from services.chassis import tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# A request that was never submitted has no end of its own, and no approver even when it was carried out.
SCRIPT = """
ALTER TABLE change_request
    ADD COLUMN revision int NOT NULL DEFAULT 1 CHECK (revision > 0),
    ALTER COLUMN expires_at DROP NOT NULL,
    DROP CONSTRAINT change_request_state_check,
    DROP CONSTRAINT change_request_check,
    DROP CONSTRAINT change_request_check2,
    ADD CONSTRAINT change_request_state_check
        CHECK (state IN ('draft', 'open', 'approved', 'applied', 'rejected', 'withdrawn')),
    ADD CONSTRAINT change_request_approver CHECK (
        state NOT IN ('approved', 'applied') OR (approver IS NOT NULL AND approver <> ALL (authors))
        OR (state = 'applied' AND approver IS NULL AND expires_at IS NULL AND kind = 'tier')
    ),
    ADD CONSTRAINT change_request_closed CHECK ((state IN ('draft', 'open', 'approved')) = (closed_at IS NULL)),
    ADD CONSTRAINT change_request_submitted CHECK (
        (state NOT IN ('open', 'approved', 'rejected') OR expires_at IS NOT NULL)
        AND (state <> 'draft' OR (expires_at IS NULL AND approver IS NULL))
    );
ALTER TABLE tier_version ADD COLUMN request_id uuid, ADD COLUMN approver text;
ALTER TABLE tier_planned ADD COLUMN request_id uuid, ADD COLUMN approver text
"""


def upgrade() -> None:
    for statement in tables.statements(SCRIPT):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
