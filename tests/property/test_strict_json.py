"""Strict JSON: everything that a careful writer makes is read, anything else is a Problem and nothing worse."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.chassis.problems import Problem
from services.chassis.strict_json import DEPTH_MAX, refuse_ambiguous

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_a_careful_writer_makes_is_read(value: object, ascii_only: bool) -> None:
    refuse_ambiguous(json.dumps(value, ensure_ascii=ascii_only).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    assert _refusal(body) in {None, "malformed_json"}


def _refusal(body: bytes) -> str | None:
    try:
        refuse_ambiguous(body)
    except Problem as problem:
        return problem.code
    return None


@given(st.text('[]{}":,0aé\\ ud8', max_size=80))
def test_what_is_accepted_every_parser_reads_the_same(text: str) -> None:
    body = text.encode()
    if _refusal(body) is None:
        assert orjson.loads(body) == json.loads(body) == TypeAdapter(Any).validate_json(body)


@given(VALUES, TEXT)
def test_a_repeated_key_is_refused_wherever_it_hides(value: object, key: str) -> None:
    member = f"{json.dumps(key)}: {json.dumps(value)}"
    for body in (f"{{{member}, {member}}}", f'[1, {{"a": {{{member}, "b": 0, {member}}}}}]'):
        with pytest.raises(Problem):
            refuse_ambiguous(body.encode())


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.integers(4_290, 4_310))
def test_a_number_that_not_every_parser_reads_is_refused_however_it_is_written(
    value: object, indent: int | str | None, digits: int
) -> None:
    body = json.dumps({"a": value, "b": 17171717}, ensure_ascii=False, indent=indent).replace("17171717", "9" * digits)
    assert (_refusal(body.encode()) is None) == (digits <= 4_300)


def test_brackets_in_texts_are_not_depth() -> None:
    refuse_ambiguous(json.dumps({"a": "[" * 1_000, "b": '"' + "{" * 1_000}).encode())


@given(st.integers(min_value=1, max_value=2 * DEPTH_MAX), st.integers(min_value=0, max_value=100))
def test_depth_is_limited_and_width_is_not(depth: int, width: int) -> None:
    body = "[" * (depth - 1) + "[" + ",".join(["0"] * width) + "]" + "]" * (depth - 1)
    assert (_refusal(body.encode()) is None) == (depth <= DEPTH_MAX)
    refuse_ambiguous(b"[" + b",".join([b"{}"] * width) + b"]")
