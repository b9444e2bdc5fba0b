"""The AsyncAPI 3 document: channels, messages with headers and payloads, and which service does what with them."""

from typing import Any, Final

from services.contracts import catalogue, guarantees
from services.contracts.catalogue import EventType
from services.contracts.topics import Topic
from tiercel.schemas.documents import Document
from tiercel.schemas.events import event_path

SERVICES: Final = ("atp", "segment_registry", "reclassifier")
SCHEMA_FORMAT: Final = "application/schema+json;version=draft-2020-12"
ENVELOPE: Final[Document] = {
    "type": "object",
    "description": "CloudEvents 1.0 in Kafka binary mode: attributes are headers, the record's value is the payload.",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "content-type"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "description": "the same in every repetition of the event"},
        "ce_type": {"type": "string", "description": "the event's type with its version"},
        "ce_source": {"type": "string", "description": "who says so"},
        "ce_time": {"type": "string", "format": "date-time", "description": "when it was said"},
        "ce_dataschema": {"type": "string", "description": "the $id of the payload's schema"},
        "ce_partitionkey": {"type": "string", "description": "the record's key"},
        "ce_sequence": {"type": "string", "pattern": "^[0-9]+$", "description": "per key, only ever higher"},
        "ce_subject": {"type": "string"},
        "ce_correlationid": {"type": "string", "description": "the same for all that one request led to"},
        "ce_causationid": {"type": "string", "description": "the id of what led to this event"},
        "ce_traceparent": {"type": "string", "description": "W3C trace context"},
        "ce_proof": {
            "type": "string",
            "description": "id of the producer's key, a dot and its Ed25519 signature over the event; on "
            "segments.proposals.v1 nothing is believed without",
        },
        "content-type": {"type": "string", "const": "application/json"},
    },
}


def asyncapi_document(version: str, examples: dict[str, dict[str, Any]]) -> Document:
    """The document of the distribution's `version`; `examples` are valid payloads by event type and name."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tiercel events",
            "version": version,
            "description": "What Tiercel's services say to each other and to the systems around them.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {guarantee.topic.name: _channel(guarantee) for guarantee in guarantees.ALL},
        "operations": {name: body for guarantee in guarantees.ALL for name, body in _operations(guarantee).items()},
        "components": {
            "messages": {one.name: _message(one, examples[one.name]) for one in catalogue.ALL},
            "schemas": {"Envelope": ENVELOPE},
        },
    }


def _carried(topic: Topic) -> list[EventType]:
    return [event_type for event_type in catalogue.ALL if event_type.topic == topic]


def _channel(guarantee: guarantees.Guarantee) -> Document:
    topic = guarantee.topic
    return {
        "address": topic.name,
        "title": topic.name,
        "summary": guarantee.purpose,
        "description": f"Owner: {guarantee.owner}. Key: {topic.key}. {guarantee.ordering} {guarantee.duplicates}",
        "messages": {one.name: {"$ref": f"#/components/messages/{one.name}"} for one in _carried(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": [topic.cleanup.value]},
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations(guarantee: guarantees.Guarantee) -> dict[str, Document]:
    channel = {"$ref": f"#/channels/{guarantee.topic.name}"}
    found: dict[str, Document] = {}
    for service in SERVICES:
        if service in guarantee.writers:
            found[f"{service}.send.{guarantee.topic.name}"] = {"action": "send", "channel": channel}
        if service in guarantee.readers:
            found[f"{service}.receive.{guarantee.topic.name}"] = {"action": "receive", "channel": channel}
    return found


def _message(event_type: EventType, examples: dict[str, Any]) -> Document:
    return {
        "name": event_type.name,
        "title": event_type.model.__name__,
        "summary": (event_type.model.__doc__ or "").strip().splitlines()[0],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Envelope"},
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": f"./{event_path(event_type)}"}},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": "0.5.0"}},
        "examples": [{"name": name, "payload": payload} for name, payload in examples.items()],
    }
