"""The event log: one port, two adapters."""
