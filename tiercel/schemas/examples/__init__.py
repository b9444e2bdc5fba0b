"""Payloads that are right and payloads that are wrong, per event; tests hold each against its schema and its model."""

import copy
from collections.abc import Mapping
from typing import Any, Final

from services.contracts.catalogue import ALL, EventType
from tiercel.schemas.examples import (
    audit,
    blocks,
    capacity,
    cut_over,
    feedback,
    network,
    orders,
    preemptions,
    promises,
    risks,
    routing,
    segments,
    service,
    supply,
)

Payloads = Mapping[str, Mapping[str, Any]]

VALID: Final[Mapping[str, Payloads]] = {
    **orders.VALID,
    **supply.VALID,
    **blocks.VALID,
    **network.VALID,
    **routing.VALID,
    **capacity.VALID,
    **promises.VALID,
    **risks.VALID,
    **preemptions.VALID,
    **cut_over.VALID,
    **feedback.VALID,
    **segments.VALID,
    **service.VALID,
    **audit.VALID,
}
# Written as what is changed in the first valid example: name -> (path, value); value ... removes the field.
_BROKEN: Final = {
    **orders.BROKEN,
    **supply.BROKEN,
    **blocks.BROKEN,
    **network.BROKEN,
    **routing.BROKEN,
    **capacity.BROKEN,
    **promises.BROKEN,
    **risks.BROKEN,
    **preemptions.BROKEN,
    **cut_over.BROKEN,
    **feedback.BROKEN,
    **segments.BROKEN,
    **service.BROKEN,
    **audit.BROKEN,
}


def valid_path(event_type: EventType, name: str) -> str:
    """Where a valid example is, below schemas/."""
    return f"examples/{event_type.stem}/v{event_type.version}/valid/{name}.json"


def invalid_path(event_type: EventType, name: str) -> str:
    """Where an invalid example is, below schemas/."""
    return f"examples/{event_type.stem}/v{event_type.version}/invalid/{name}.json"


def invalid_payloads(event_type: EventType) -> dict[str, dict[str, Any]]:
    """Payloads that must be refused, by what is wrong with them."""
    right = next(iter(VALID[event_type.name].values()))
    required = next(name for name, field in event_type.model.model_fields.items() if field.is_required())
    broken: dict[str, tuple[str, Any]] = {
        f"{required}_missing": (required, ...),
        "unknown_field": ("surprise", 1),
        **_BROKEN.get(event_type.name, {}),
    }
    return {name: _changed(right, path, value) for name, (path, value) in broken.items()}


def example_documents() -> dict[str, object]:
    """All example files by path."""
    valid = {valid_path(one, name): body for one in ALL for name, body in VALID[one.name].items()}
    invalid = {invalid_path(one, name): body for one in ALL for name, body in invalid_payloads(one).items()}
    return {**valid, **invalid}


def _changed(right: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    payload: dict[str, Any] = copy.deepcopy(dict(right))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = payload
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return payload
