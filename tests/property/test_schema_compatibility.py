"""The classifier never calls a change compatible that refuses a document which was valid before."""

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tiercel.schemas.compatibility import Kind, classify

NAMES = ("a", "b", "c")
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "x", "xx", "xxx"]))
BOUND = st.integers(0, 3)


def _optional(**choices: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=choices)


TEXTS = _optional(minLength=BOUND, maxLength=BOUND, pattern=st.sampled_from(["^x", "xx"])).map(
    lambda rest: {"type": "string", **rest}
)
NUMBERS = st.tuples(
    st.sampled_from(["integer", "number"]),
    _optional(minimum=BOUND, maximum=BOUND, exclusiveMinimum=BOUND, exclusiveMaximum=BOUND),
).map(lambda pair: {"type": pair[0], **pair[1]})
CHOICES = st.lists(st.sampled_from(["x", "xx", 1]), min_size=1, unique_by=str).map(lambda values: {"enum": values})
LEAVES = st.one_of(TEXTS, NUMBERS, CHOICES, st.sampled_from([{"type": "null"}, {"type": "boolean"}, {}]))


def _deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = st.fixed_dictionaries(
        {"properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)},
        optional={
            "required": st.lists(st.sampled_from(NAMES), unique=True),
            "additionalProperties": st.one_of(st.booleans(), inner),
        },
    ).map(lambda rest: {"type": "object", **rest})
    arrays = _optional(items=inner, minItems=BOUND, maxItems=BOUND).map(lambda rest: {"type": "array", **rest})
    unions = st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts})
    return st.one_of(objects, arrays, unions)


SCHEMAS = st.recursive(LEAVES, _deeper, max_leaves=6)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([*NAMES, "d"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def _neighbours(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two schemas that differ in one place or so: unrelated ones are hardly ever compatible."""
    old = draw(SCHEMAS)
    return old, draw(st.one_of(SCHEMAS, st.just(_widened(draw, old))))


def _widened(draw: st.DrawFn, schema: Any) -> Any:
    if not isinstance(schema, dict) or not schema:
        return schema
    key = draw(st.sampled_from(sorted(schema)))
    match draw(st.integers(0, 2)), schema[key]:
        case 0, _:
            return {name: value for name, value in schema.items() if name != key}
        case 1, int() as bound:
            return {**schema, key: bound + draw(st.integers(-1, 1))}
        case _, dict() as inner if key == "properties":
            return {**schema, key: {name: _widened(draw, part) for name, part in inner.items()}}
        case _, dict() as inner:
            return {**schema, key: _widened(draw, inner)}
    return schema


@given(_neighbours(), st.lists(DOCUMENTS, min_size=1, max_size=20))
def test_compatible_means_that_what_was_valid_is_valid(pair: tuple[Any, Any], documents: list[Any]) -> None:
    old, new = pair
    assume(classify(old, new).kind is Kind.COMPATIBLE)
    for document in documents:
        if Draft202012Validator(old).is_valid(document):
            assert Draft202012Validator(new).is_valid(document)


@given(SCHEMAS)
def test_a_schema_is_compatible_with_itself(schema: Any) -> None:
    assert classify(schema, schema).kind is Kind.COMPATIBLE
