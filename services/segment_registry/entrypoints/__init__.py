"""The ways in: HTTP and the event log."""
