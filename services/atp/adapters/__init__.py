"""The outside: PostgreSQL, the event log, other services."""
