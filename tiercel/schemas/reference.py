"""The reference page of what a caller may rely on: outcomes, the HTTP rule, limits, guarantees per topic, staleness.

Numbers come from the code that enforces them; sentences are here. A test fails when an outcome, a topic or a route that
reads has no sentence, so that the page cannot fall behind.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.contracts import guarantees
from services.contracts.promises import LineOutcome
from tiercel.schemas.limits import LIMITS
from tiercel.schemas.staleness import STALENESS

REFERENCE_PATH: Final = "interfaces.md"
OUTCOMES: Final[Mapping[LineOutcome, str]] = {
    LineOutcome.CANCELLED: "The order is cancelled; `promised` is what had shipped by then.",
    LineOutcome.NOT_PERMITTED: "The tier's validation, or a block of the customer, refuses the line or the whole order."
    " Nothing is taken, nothing waits.",
    LineOutcome.HELD_FOR_RELEASE: "The same holds the order: nothing is taken until somebody releases it.",
    LineOutcome.UNKNOWN_ITEM: "No such item. Nothing is taken, nothing waits.",
    LineOutcome.ITEM_INACTIVE: "The item may not be promised any more. Nothing is taken, nothing waits.",
    LineOutcome.UNKNOWN_UNIT: "The item has no such unit, or not so many of it. Nothing is taken, nothing waits.",
    LineOutcome.BELOW_PACK: "Less than one pack of the item was ordered. Nothing is taken, nothing waits.",
    LineOutcome.NO_SOURCE: "No lane that the tier may use leads to the zone. Nothing is taken, nothing waits.",
    LineOutcome.STOPPED: "A planner has stopped the item wherever it could come from: nothing is taken, it waits.",
    LineOutcome.SHIP_COMPLETE_UNMET: "The order ships complete and not all of it can be promised: nothing is taken. The"
    " line waits with the others, unless one of them can never be served.",
    LineOutcome.DISCONTINUED: "Nothing can be promised, and the item is discontinued: nothing waits.",
    LineOutcome.NOT_BACKORDERED: "Nothing can be promised, and the item's backorder policy lets nothing wait.",
    LineOutcome.BELOW_MINIMUM: "Less than the line's minimum quantity can be promised: nothing is taken, it waits.",
    LineOutcome.BACKORDERED: "Nothing can be promised by the latest acceptable arrival: the line waits.",
    LineOutcome.PARTLY_PROMISED: "A part is promised; of the rest waits what `backordered` says, the other is refused.",
    LineOutcome.PROMISED_LATE: "The whole quantity is promised; some of it arrives after the requested arrival.",
    LineOutcome.PROMISED: "The whole quantity is promised, in time.",
}
_READING: Final = (":inquire", "availability:bulk", "availability:quick")
_HTTP_RULE: Final = (
    ("201", "The order was decided now, also when none of its lines got anything."),
    ("200", "The same order was decided before: the stored promise, the same bytes as far as nothing changed it."),
    ("202", "A command was taken that has no answer of its own: a cancellation that came before its order, supply."),
    ("409", "`order_differs`: the order exists with other content. `order_version_older`: a later version is stored."),
    ("422", "The request breaks its schema, or `idempotency_key_reused`: the key was used with another body."),
    ("429", "The caller's rate limit is reached; `Retry-After` says when to come back."),
    ("503", "Nothing is known to be decided (`overloaded`, `draining`, `deadline_exceeded`) or the outcome is unknown"),
)
_UNKNOWN: Final = (
    "(`commit_unknown`): send the same again after `Retry-After`. The order's identity, or the `Idempotency-Key`, makes"
    " that safe."
)


def reference_page(openapi: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The page; `openapi` are the API descriptions by service."""
    lines = [
        "# What a caller may rely on",
        "",
        "Rendered from the code by `make schemas`; do not edit.",
        *_outcomes(),
        *_http(),
        *_limits(),
        *_topics(),
        *_staleness(openapi),
    ]
    return ("\n".join(lines) + "\n").encode()


def reading_routes(document: Mapping[str, Any]) -> list[str]:
    """The paths of an API description that change nothing and are not the plumbing's own."""
    reading = (path for path, methods in document["paths"].items() if "get" in methods or path.endswith(_READING))
    return sorted(path for path in reading if not path.startswith("/internal/"))


def _outcomes() -> Iterable[str]:
    yield from ("", "## Outcomes of a line", "")
    yield "Where several would apply, the first in this order is given. Each comes with `why`, but `promised` and"
    yield "`cancelled`."
    rows = [(f"`{outcome.value}`", OUTCOMES[outcome]) for outcome in LineOutcome]
    yield from _table(("outcome", "meaning"), rows)


def _http() -> Iterable[str]:
    yield from ("", "## The HTTP rule", "")
    yield "An order that could be read and decided is an answer, not an error, whatever its lines got."
    rows = [*_HTTP_RULE[:-1], (_HTTP_RULE[-1][0], f"{_HTTP_RULE[-1][1]} {_UNKNOWN}")]
    yield from _table(("status", "when"), rows)
    yield from ("", "A batch answers 200 with a list of `{status, promise}` or `{status, problem}` in its own order.")
    yield "Refusals are problem documents (RFC 9457) with a stable `code`; a refusal is remembered like a success."


def _limits() -> Iterable[str]:
    yield from ("", "## Limits", "")
    yield "What is larger is refused: over HTTP with 413 or 422, from the event log as a dead letter with the reason."
    yield from _table(("what", "at most", "stated in"), [(one.what, one.shown, f"`{one.source}`") for one in LIMITS])


def _topics() -> Iterable[str]:
    yield from ("", "## Order and duplicates on the topics", "")
    yield "Every topic delivers at least once; an event that is repeated has the same id."
    rows = [
        (f"`{one.topic.name}`", one.topic.key, one.topic.cleanup.value, one.ordering, one.duplicates)
        for one in guarantees.ALL
    ]
    yield from _table(("topic", "key", "kept", "order", "duplicates"), rows)


def _staleness(openapi: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    yield from ("", "## How old a read may be", "")
    yield "Nothing is read from a replica of the database, and no promise is decided from a cache."
    rows = [
        (service, f"`{path}`", STALENESS[service, path])
        for service in sorted(openapi)
        for path in reading_routes(openapi[service])
    ]
    yield from _table(("service", "read", "what it shows"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    yield ""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
