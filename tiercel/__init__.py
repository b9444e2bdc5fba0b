"""The command line and the all-in-one process: the one place that composes several services."""
