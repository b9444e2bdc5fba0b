"""Opaque cursors: where a list goes on, for nobody to read or to make."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

import orjson

from services.chassis.problems import BAD_REQUEST, Problem

CURSOR_MAX_CHARS: Final = 512
_VERSION: Final = 1


def encode_cursor(*place: object) -> str:
    """A cursor for a place in a list."""
    return urlsafe_b64encode(orjson.dumps([_VERSION, *place])).decode().rstrip("=")


def decode_cursor(cursor: str | None, length: int) -> list[Any] | None:
    """The place that a cursor stands for, of so many members; None: from the start. Raises Problem (400)."""
    if cursor is None:
        return None
    try:
        version, *place = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        raise Problem(BAD_REQUEST, "cursor: not one that this list gave") from None
    found: list[Any] = place
    if version != _VERSION or len(found) != length:
        raise Problem(BAD_REQUEST, "cursor: not one that this list gave")
    return found
