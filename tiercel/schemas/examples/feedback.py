"""Examples of what customers say, and of moves that stopped."""

from typing import Any, Final

VALID: Final[dict[str, dict[str, Any]]] = {
    "feedback.given.v1": {
        "survey": {
            "source": "crm",
            "reference": "NPS-2026-118",
            "customer": {"system": "tiercel", "id": "0198c7d2-5b1e-7000-8000-000000000001"},
            "kind": "survey",
            "score": 9,
            "occurred_at": "2026-03-04T10:00:00Z",
        },
        "complaint_taken_back": {
            "source": "crm",
            "reference": "CASE-77",
            "version": 2,
            "customer": {"system": "shop", "id": "C-1001"},
            "kind": "complaint",
            "withdrawn": True,
            "occurred_at": "2026-03-05T08:30:00Z",
        },
    },
    "reclassification.stopped.v1": {
        "too_many": {
            "rule": "activity",
            "rule_version": 4,
            "sequence": 1,
            "moves": 401,
            "limit": 400,
            "within_hours": 24,
            "stopped_at": "2026-03-04T03:00:02Z",
        }
    },
    "reclassification.resumed.v1": {
        "looked_at": {
            "rule": "activity",
            "sequence": 2,
            "author": "mara",
            "reason": "the spring sale, looked at with sales",
            "resumed_at": "2026-03-04T09:10:00Z",
        }
    },
}
BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "feedback.given.v1": {
        "score_above_ten": ("score", 11),
        "text_of_a_person": ("comment", "it came late"),
        "no_reference": ("reference", ...),
    },
    "reclassification.stopped.v1": {"no_moves": ("moves", 0)},
    "reclassification.resumed.v1": {"nobody": ("author", ...)},
}
