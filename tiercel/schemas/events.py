"""JSON Schema (2020-12) of every event in every version, from the payload models."""

from typing import Final

from services.contracts.catalogue import EventType
from tiercel.schemas.documents import Document

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def event_path(event_type: EventType) -> str:
    """Where its schema is, below schemas/: `events/order.placed/v1.json`."""
    return f"events/{event_type.stem}/v{event_type.version}.json"


def event_schema(event_type: EventType) -> Document:
    """The schema of one version of one event; its `$id` is the `dataschema` of the envelope."""
    schema = event_type.model.model_json_schema(mode="validation")
    return {"$schema": DIALECT, "$id": event_type.dataschema, **schema}
