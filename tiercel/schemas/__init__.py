"""Renders schemas/ from the payload models, the catalogue and the services' routes.

`python -m tiercel.schemas` writes it, `--check` says what differs, `--publish` freezes the versions that are new.
"""
