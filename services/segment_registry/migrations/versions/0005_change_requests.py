"""Change requests: what is proposed, approved by its hash, and carried out."""

from alembic import op

from services.chassis import tables

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE change_request (
    request_id uuid PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    content text NOT NULL,
    reason text NOT NULL,
    authors text[] NOT NULL CHECK (cardinality(authors) > 0),
    proposed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    state text COLLATE "C" NOT NULL
        CHECK (state IN ('open', 'approved', 'applied', 'rejected', 'withdrawn')),
    approver text,
    approved_sha256 text,
    approved_at timestamptz,
    approval_expires_at timestamptz,
    closed_by text,
    closed_at timestamptz,
    closing_reason text NOT NULL,
    CHECK (state NOT IN ('approved', 'applied') OR (approver IS NOT NULL AND approver <> ALL (authors))),
    CHECK ((approver IS NULL) = (approved_sha256 IS NULL)),
    CHECK ((state IN ('open', 'approved')) = (closed_at IS NULL))
);
CREATE INDEX change_request_state ON change_request (state, request_id);
COMMENT ON COLUMN change_request.content IS 'canonical JSON; approved_sha256 is of exactly these bytes'
"""


def upgrade() -> None:
    for statement in tables.statements(SCRIPT):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
