"""Who calls, what of, and what it may see: an order outside of the caller's channels is refused, or looks absent."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from fastapi import Request

from services.atp.application.commands import Origin, Outcome, Remembered
from services.atp.application.read_promises import StoredPromise
from services.atp.entrypoints.answers import Rendered
from services.atp.entrypoints.orders import fault_of
from services.atp.entrypoints.problem_codes import CHANNEL_FORBIDDEN, ORDER_UNKNOWN
from services.chassis import tracing
from services.chassis.auth import Principal
from services.chassis.idempotency import fingerprint
from services.chassis.problems import BAD_REQUEST, CORRELATION_KEY, Problem
from services.contracts.orders import OrderPlaced

KEY_HEADER: Final = b"idempotency-key"
KEY_MAX_CHARS: Final = 128
Renderer = Callable[[Outcome], Rendered]


def origin_of(request: Request) -> Origin:
    """Where a command of this request came from."""
    correlation = str(request.scope.get(CORRELATION_KEY, ""))
    return Origin(correlation, correlation, tracing.traceparent.get())


def key_of(request: Request) -> str | None:
    """The idempotency key, if there is one. Raises Problem (400) for one that cannot be kept."""
    given = next((value for name, value in request.scope["headers"] if name == KEY_HEADER), None)
    if given is None:
        return None
    key: str = given.decode("latin-1")
    if not (0 < len(key) <= KEY_MAX_CHARS and key.isascii() and key.isprintable() and key == key.strip()):
        raise Problem(BAD_REQUEST, f"Idempotency-Key: 1 to {KEY_MAX_CHARS} printable ASCII characters")
    return key


async def remembered_of(
    request: Request, principal: Principal, render: Renderer, *, suffix: str = "", body: bytes | None = None
) -> Remembered | None:
    """The request under its idempotency key; `suffix` and `body` are for one part of a bulk request."""
    key = key_of(request)
    if key is None:
        return None
    content = await request.body() if body is None else body
    return Remembered(principal.subject, key + suffix, fingerprint(request.method, request.url.path, content), render)


def check_channel(principal: Principal, channel: str) -> None:
    """Raise Problem (403) for an order that the caller may not place."""
    if not (principal.sees_channel(channel) and principal.sees_account_group(None)):
        raise Problem(CHANNEL_FORBIDDEN)


def check_order(principal: Principal, order: OrderPlaced) -> None:
    """Raise Problem for an order that this caller may not place, or nobody may."""
    check_channel(principal, order.channel)
    fault = fault_of(order)
    if fault is not None:
        raise Problem(fault)


def promise_id_of(text: str) -> UUID:
    """The id in a path or cursor. Raises Problem (404) for what cannot be one."""
    try:
        return UUID(text)
    except ValueError:
        raise Problem(ORDER_UNKNOWN) from None


def visible(principal: Principal, promise: StoredPromise | None) -> StoredPromise:
    """The promise, if the caller may see it; else 404, as if it did not exist."""
    if promise is None or not (principal.sees_channel(promise.channel) and principal.sees_account_group(None)):
        raise Problem(ORDER_UNKNOWN)
    return promise
