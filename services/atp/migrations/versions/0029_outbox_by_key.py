"""The index by which the relay finds what waits in the bulk lane for a key."""

from services.chassis import tables
from services.chassis.migrations import execute_script

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run it."""
    execute_script(tables.OUTBOX_V2)
