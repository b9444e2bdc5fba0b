"""Examples of promises that were taken over from another system."""

from typing import Any, Final

from tiercel.schemas.examples.promises import PROMISE

_PLAN: Final[dict[str, Any]] = PROMISE["lines"][0]
_TAKEN_OVER: Final[dict[str, Any]] = {
    **PROMISE,
    "state": "confirmed",
    "lines": [{**_PLAN, "shipped": 3, "why": []}],
}

VALID: Final[dict[str, dict[str, Any]]] = {"promise.taken_over.v1": {"partly_shipped": {"promise": _TAKEN_OVER}}}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "promise.taken_over.v1": {"state_unknown": ("promise.state", "dreamt")},
}
