"""Examples of what vouches for the audit trails."""

from typing import Any, Final

VALID: Final[dict[str, dict[str, Any]]] = {
    "audit.anchored.v1": {
        "anchor": {
            "service": "segment_registry",
            "position": 4711,
            "digest": "9f" * 32,
            "anchored_at": "2026-03-02T10:15:01.000250Z",
            "key_id": "0123456789abcdef",
            "signature": "A" * 86 + "==",
        }
    }
}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "audit.anchored.v1": {"digest_short": ("digest", "9f"), "position_zero": ("position", 0)}
}
