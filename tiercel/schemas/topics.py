"""One page per topic: owner, key, how it is kept, which events it carries, what a reader may rely on."""

from services.contracts import catalogue, guarantees, topics
from tiercel.schemas.documents import Document
from tiercel.schemas.events import event_path
from tiercel.schemas.examples import VALID, valid_path


def topic_document(guarantee: guarantees.Guarantee) -> Document:
    """What is to know of one topic."""
    topic = guarantee.topic
    carried = [event_type for event_type in catalogue.ALL if event_type.topic == topic]
    return {
        "topic": topic.name,
        "purpose": guarantee.purpose,
        "owner": guarantee.owner,
        "writers": list(guarantee.writers),
        "readers": list(guarantee.readers),
        "key": topic.key,
        "cleanup": topic.cleanup.value,
        "default_partitions": topic.partitions,
        "dead_letters": topics.dead_letters(topic.name),
        "ordering": guarantee.ordering,
        "duplicates": guarantee.duplicates,
        "events": [_carried(event_type) for event_type in carried],
    }


def _carried(event_type: catalogue.EventType) -> Document:
    return {
        "type": event_type.name,
        "version": event_type.version,
        "dataschema": event_type.dataschema,
        "schema": f"../{event_path(event_type)}",
        "examples": [f"../{valid_path(event_type, name)}" for name in VALID[event_type.name]],
    }
