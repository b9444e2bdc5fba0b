"""What a draft is said to change: carried out field by field on the old document, it gives the new one."""

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.segment_registry.domain.differences import differences

NAMES = st.sampled_from(["a", "b", "a/b", "~", "~1", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)


def put(document: dict[str, Any], path: str, value: Any) -> None:
    """Write a value where a JSON pointer says (RFC 6901)."""
    *way, last = [each.replace("~1", "/").replace("~0", "~") for each in path.split("/")[1:]]
    for name in way:
        document = document[name]
    if value is None:
        document.pop(last, None)
    else:
        document[last] = value


def without_nulls(value: Any) -> Any:
    """A field that is null says as much as one that is not there."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return value


@given(DOCUMENTS, DOCUMENTS)
def test_differences_lead_from_one_document_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = differences(before, after)
    built = deepcopy(before)
    for each in found:
        put(built, each.path, each.after)
    assert without_nulls(built) == without_nulls(after)
    assert [each.path for each in found] == list(dict.fromkeys(each.path for each in found))
    assert all(each.before != each.after or type(each.before) is not type(each.after) for each in found)
    assert differences(after, after) == ()
