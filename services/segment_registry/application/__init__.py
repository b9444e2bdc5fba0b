"""Use cases: load, decide, store. One file each; `ports.py` says what the outside provides."""
