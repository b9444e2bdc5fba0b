"""Examples of bookable capacity on `catalog.v1`."""

from typing import Any, Final

_WEEK: Final = {"mon": 5000, "tue": 5000, "wed": 5000, "thu": 5000, "fri": 5000, "sat": 1200, "sun": 0}

VALID: Final[dict[str, dict[str, Any]]] = {
    "catalog.capacity.v1": {
        "full": {
            "document": "DC-NORTH",
            "version": 3,
            "author": "planning",
            "effective_from": "2026-12-01T00:00:00Z",
            "lines": [
                {
                    "location": "DC-NORTH",
                    **_WEEK,
                    "exceptions": [{"day": "2026-12-24", "units": 800}, {"day": "2026-12-25", "units": 0}],
                    "shares": [{"tier": "gold", "quantity": 600, "mode": "prioritised", "lapse_days": 1}],
                },
                {"location": "DC-NORTH", "service": "express", **_WEEK},
            ],
        },
        "ended": {"document": "DC-NORTH", "version": 4, "lines": []},
    }
}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "catalog.capacity.v1": {
        "less_than_nothing": ("lines.0.mon", -1),
        "mode_unknown": ("lines.0.shares.0.mode", "best"),
        "day_missing": ("lines.0.sun", ...),
    }
}
