"""A decision record as a document: its versions, its digest, and its input unpacked."""

import zlib
from typing import Any

import orjson

from services.atp.application.read_promises import StoredDecision


def unpack(decision: StoredDecision) -> dict[str, Any]:
    """The document of `GET /v1/promises/{id}/decision`."""
    return {
        "decision_id": str(decision.decision_id),
        "index": decision.index,
        "decided_at": decision.decided_at,
        "engine_version": decision.engine_version,
        "digest": decision.digest.hex(),
        "input": orjson.Fragment(zlib.decompress(decision.input)),
    }
