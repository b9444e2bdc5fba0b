"""What one document says otherwise than another one, field by field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ABSENT: Final = None  # documents of the registry are whole: a field that is left out is one that says nothing


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` is a JSON pointer (RFC 6901); a value that is not there is None."""

    path: str
    before: Any
    after: Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> tuple[Difference, ...]:
    """The differences of two JSON documents, by path. Objects are compared by field, lists as a whole."""
    found: list[Difference] = []
    for name in sorted(before.keys() | after.keys()):
        here = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        one, other = before.get(name, ABSENT), after.get(name, ABSENT)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(one, other, here)
        elif one != other or type(one) is not type(other):
            found.append(Difference(here, one, other))
    return tuple(found)
