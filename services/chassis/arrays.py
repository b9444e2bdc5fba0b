"""Columns of many rows as one text parameter each.

The driver encodes an array element by element; measured, that is most of the client's work in storing a batch. These
parameters are text that the server takes apart: `'{1,2}'` for numbers, ids and flags, joined text for texts.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

SEPARATOR: Final = "\x1f"  # ids and codes of the published language have no control characters
NOTHING: Final = "\x1e"  # stands for NULL


def numbers(values: Sequence[int]) -> str:
    """For a parameter that is cast `::text::bigint[]` or `::text::int[]`."""
    return "{" + ",".join(map(str, values)) + "}"


def numbers_or_none(values: Sequence[int | None]) -> str:
    """`numbers`, of which some may be missing."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def ids(values: Sequence[UUID | None]) -> str:
    """For a parameter that is cast `::text::uuid[]`."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def flags(values: Sequence[bool]) -> str:
    """For a parameter that is cast `::text::bool[]`."""
    return "{" + ",".join(["t" if value else "f" for value in values]) + "}"


def texts(values: Sequence[str | None]) -> str:
    """For a parameter that is read by `text_array`. Raises ValueError for a text with a separator in it."""
    joined = SEPARATOR.join([NOTHING if value is None else value for value in values])
    if joined.count(SEPARATOR) != max(0, len(values) - 1):
        raise ValueError("a text holds the separator of texts")
    return joined


def text_array(number: int) -> str:
    """The SQL that reads parameter `number` as texts."""
    return f"string_to_array(${number}::text, E'\\x1f', E'\\x1e')"
