"""Pure decisions: the standard library and itself, nothing else."""
