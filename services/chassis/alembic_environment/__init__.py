"""What alembic runs; see `services.chassis.migrations`."""
