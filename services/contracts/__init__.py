"""The published language: topic names, event payloads and their versions. Imports pydantic only."""
