"""Public holidays of calendars, expanded into days with the version of the library that told them."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE calendar ADD COLUMN holiday_country text, ADD COLUMN holiday_subdivision text,
            ADD COLUMN holidays int[] NOT NULL DEFAULT '{}', ADD COLUMN holidays_through int,
            ADD COLUMN holidays_library text,
            ADD CONSTRAINT calendar_holidays_told CHECK (
                (holiday_country IS NULL) = (holidays_through IS NULL)
                AND (holiday_country IS NULL) = (holidays_library IS NULL)
            )
        """
    )
    op.execute("COMMENT ON COLUMN calendar.holidays IS 'public holidays up to holidays_through, as days'")


def downgrade() -> None:
    raise NotImplementedError("a published schema goes forward only; restore a backup to go back")
