from typing import Any

import pytest

from services.contracts import topics
from services.contracts.catalogue import Catalogue, EventType
from services.contracts.payload import Payload
from tiercel.schemas.compatibility import Kind, classify
from tiercel.schemas.published import unreadable_successors

TEXT = {"type": "string", "maxLength": 10}
BASE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id"],
    "properties": {"id": TEXT, "count": {"type": "integer", "minimum": 0, "default": 0}},
}


def _with(**properties: object) -> dict[str, Any]:
    return {**BASE, "properties": {**BASE["properties"], **properties}}


@pytest.mark.parametrize(
    ("new", "kind"),
    [
        (BASE, Kind.COMPATIBLE),
        ({**BASE, "title": "other words", "description": "other words"}, Kind.COMPATIBLE),
        (_with(note={"type": "string"}), Kind.COMPATIBLE),
        ({**BASE, "required": []}, Kind.COMPATIBLE),
        ({**BASE, "additionalProperties": True}, Kind.COMPATIBLE),
        ({**BASE, "additionalProperties": {"type": "string"}}, Kind.COMPATIBLE),
        (_with(id={"type": "string", "maxLength": 20}), Kind.COMPATIBLE),
        (_with(id={"anyOf": [TEXT, {"type": "null"}]}), Kind.COMPATIBLE),
        (_with(count={"type": "number", "default": 0}), Kind.COMPATIBLE),
        (_with(id={}), Kind.COMPATIBLE),
        ({**BASE, "required": ["id", "count"]}, Kind.BREAKING),
        ({**BASE, "properties": {"id": TEXT}}, Kind.BREAKING),
        (_with(id={"type": "string", "maxLength": 9}), Kind.BREAKING),
        (_with(id={"type": "string", "maxLength": 10, "pattern": "^a"}), Kind.BREAKING),
        (_with(id={"type": "integer"}), Kind.BREAKING),
        (_with(id={"enum": ["a"], "type": "string", "maxLength": 10}), Kind.BREAKING),
        (_with(count={"type": "integer", "minimum": 0, "default": 1}), Kind.BREAKING),
        (_with(count={"type": "integer", "minimum": 1, "default": 0}), Kind.BREAKING),
        (_with(id={"type": "string", "maxLength": 10, "contentEncoding": "base64"}), Kind.UNKNOWN),
    ],
)
def test_a_change_is_classified(new: dict[str, Any], kind: Kind) -> None:
    assert classify(BASE, new).kind is kind


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ({"pattern": "^a"}, {"pattern": "^b"}, Kind.UNKNOWN),
        ({"pattern": "^a"}, {"type": "string"}, Kind.BREAKING),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, Kind.COMPATIBLE),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, Kind.BREAKING),
        ({"$ref": "elsewhere.json"}, {"$ref": "other.json"}, Kind.UNKNOWN),
        ({"type": "array", "items": TEXT}, {"type": "array", "items": {"type": "string"}}, Kind.COMPATIBLE),
        ({"type": "array", "items": TEXT}, {"type": "array"}, Kind.COMPATIBLE),
        ({"type": "array"}, {"type": "array", "items": TEXT}, Kind.UNKNOWN),
        ({"anyOf": [TEXT, {"type": "null"}]}, TEXT, Kind.BREAKING),
        ({"anyOf": [{"pattern": "a"}, TEXT]}, {"anyOf": [{"pattern": "b"}, TEXT]}, Kind.UNKNOWN),
        ({"anyOf": [{"anyOf": [{"type": "null"}]}]}, {"anyOf": [{"anyOf": [TEXT]}]}, Kind.BREAKING),
        ({"type": "object"}, {"type": "object", "additionalProperties": TEXT}, Kind.UNKNOWN),
        ({"type": "object"}, BASE, Kind.BREAKING),
        ({"type": "object"}, {"type": "object", "properties": {"a": TEXT}}, Kind.UNKNOWN),
        (
            {"type": "object", "additionalProperties": TEXT},
            {"type": "object", "additionalProperties": {"type": "integer"}},
            Kind.BREAKING,
        ),
    ],
)
def test_keywords_that_stand_alone_are_classified(old: dict[str, Any], new: dict[str, Any], kind: Kind) -> None:
    assert classify(old, new).kind is kind


def test_references_are_followed_and_a_circle_is_not_for_ever() -> None:
    old = {"$ref": "#/$defs/A", "$defs": {"A": TEXT}}
    assert classify(old, {"$ref": "#/$defs/B", "$defs": {"B": TEXT}}).kind is Kind.COMPATIBLE
    assert classify(old, {"$ref": "#/$defs/A", "$defs": {"A": {"type": "null"}}}).kind is Kind.BREAKING
    circle = {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"next": {"$ref": "#/$defs/A"}}}}}
    assert classify(circle, circle).kind is Kind.UNKNOWN


def test_a_reference_inside_a_keyword_that_is_not_understood_is_unknown() -> None:
    schema = {"oneOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": TEXT}}
    assert classify(schema, {**schema, "$defs": {"A": {"type": "null"}}}).kind is Kind.UNKNOWN


def test_a_finding_says_where_and_what() -> None:
    found = classify(BASE, _with(id={"type": "string", "maxLength": 9})).findings
    assert [(one.path, one.reason) for one in found] == [("/id", "maxLength: 10 became 9")]


def test_a_next_version_must_take_what_the_one_before_wrote_or_have_an_upcaster() -> None:
    first, second = EventType("a.b.v1", Payload, topics.ORDERS), EventType("a.b.v2", Payload, topics.ORDERS)
    schemas = {"a.b.v1": BASE, "a.b.v2": {**BASE, "required": ["id", "count"]}}
    (sentence,) = unreadable_successors(Catalogue((first, second), {}), schemas)
    assert sentence == "a.b.v2 is breaking against a.b.v1 and has no upcaster: / count became required"
    assert list(unreadable_successors(Catalogue((first, second), {"a.b.v1": dict}), schemas)) == []
    assert list(unreadable_successors(Catalogue((first, second), {}), {"a.b.v1": BASE, "a.b.v2": BASE})) == []
