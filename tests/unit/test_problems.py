"""The catalogue of problems: codes are stable, and documents are what RFC 9457 asks for."""

from typing import Annotated, Literal

import orjson
import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator

from services.chassis.problems import (
    ERRORS_MAX,
    PROBLEMS,
    Problem,
    ProblemCode,
    from_exception,
    from_validation_error,
    problem_responses,
    register,
    validation_problem,
)
from services.contracts.catalogue import describe
from services.contracts.supply import SupplyMovement


def test_the_codes_and_their_statuses_are_a_contract() -> None:
    """A change here breaks clients: add codes, never change them."""
    promised = {
        "malformed_json": 400,
        "bad_request": 400,
        "unauthenticated": 401,
        "forbidden": 403,
        "not_found": 404,
        "method_not_allowed": 405,
        "request_timeout": 408,
        "conflict": 409,
        "precondition_failed": 412,
        "body_too_large": 413,
        "unsupported_media_type": 415,
        "validation_failed": 422,
        "idempotency_key_reused": 422,
        "precondition_required": 428,
        "too_many_requests": 429,
        "internal_error": 500,
        "overloaded": 503,
        "draining": 503,
        "deadline_exceeded": 503,
        "commit_unknown": 503,
        "dependency_unavailable": 503,
    }
    assert {code: PROBLEMS[code].status for code in promised} == promised


def test_whatever_may_be_tried_again_says_when() -> None:
    for entry in PROBLEMS.values():
        assert (entry.retry_after_seconds is not None) == (entry.status in {429, 503}), entry.code


def test_a_document_has_the_standard_members_and_its_own() -> None:
    problem = Problem("conflict", "another content", order_id="o-1")
    response = problem.response("corr-1")
    assert orjson.loads(bytes(response.body)) == {
        "type": "urn:tiercel:problem:conflict",
        "title": PROBLEMS["conflict"].title,
        "status": 409,
        "code": "conflict",
        "detail": "another content",
        "correlation_id": "corr-1",
        "order_id": "o-1",
    }
    assert response.headers["content-type"] == "application/problem+json"


def test_an_own_member_cannot_hide_a_standard_one() -> None:
    assert Problem("conflict", type="evil", status=200).document()["status"] == 409


def test_a_code_keeps_its_meaning() -> None:
    entry = ProblemCode("test_only", 409, "Only for this test")
    try:
        assert register(entry) is entry
        assert register(ProblemCode("test_only", 409, "Only for this test")) == entry
        with pytest.raises(ValueError, match="already means"):
            register(ProblemCode("test_only", 422, "Something else"))
    finally:
        PROBLEMS.pop("test_only", None)


class _Order(BaseModel):
    quantity: int

    @field_validator("quantity")
    @classmethod
    def _reasonable(cls, value: int) -> int:
        if value > 10:
            msg = f"{value} is the secret number"
            raise ValueError(msg)
        return value


class _Cat(BaseModel):
    kind: Literal["cat"]


class _Dog(BaseModel):
    kind: Literal["dog"]


def test_what_a_validator_says_about_the_value_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        _Order.model_validate_json(b'{"quantity": 4711}')
    document = orjson.dumps(from_validation_error(caught.value).document())
    assert b"4711" not in document
    assert b"body/quantity" in document


def test_a_rule_of_ours_is_said_in_its_own_words() -> None:
    movement = {"source": "wms", "reference": "1", "sku": "A", "location": "L", "occurred_at": "2026-01-01T00:00:00Z"}
    with pytest.raises(ValidationError) as caught:
        SupplyMovement.model_validate_json(orjson.dumps({**movement, "kind": "issue", "quantity": 4711}))
    document = from_validation_error(caught.value).document()
    assert document["errors"] == [
        {"location": "body", "rule": "broken_rule", "message": "stock goes out: the quantity is negative"}
    ]
    assert describe(caught.value) == ": stock goes out: the quantity is negative"


def test_a_tag_that_nobody_knows_is_not_repeated() -> None:
    adapter: TypeAdapter[_Cat | _Dog] = TypeAdapter(Annotated[_Cat | _Dog, Field(discriminator="kind")])
    with pytest.raises(ValidationError) as caught:
        adapter.validate_json(b'{"kind": "secret-4711"}')
    document = orjson.dumps(from_validation_error(caught.value).document())
    assert b"4711" not in document
    assert b"not one of the kinds" in document


def test_thousands_of_errors_make_a_short_answer() -> None:
    errors = [{"loc": ("lines", index), "type": "missing", "msg": "Field required"} for index in range(5_000)]
    document = validation_problem(errors).document()
    assert len(document["errors"]) == ERRORS_MAX
    assert document["detail"] == "5000 rule(s) broken"


def test_a_field_name_that_would_break_a_log_is_made_harmless() -> None:
    errors = [{"loc": ("a\r\nSet-Cookie: x", "b" * 500), "type": "extra_forbidden", "msg": "no"}]
    [error] = validation_problem(errors).document()["errors"]
    assert "\n" not in error["location"]
    assert len(error["location"]) < 140


def test_nobody_foresaw_a_key_error() -> None:
    assert from_exception(KeyError()) is None


def test_the_description_lists_each_status_once() -> None:
    responses = problem_responses("overloaded", "commit_unknown", "conflict")
    assert sorted(responses, key=str) == [409, 503]
    assert "overloaded" in responses[503]["description"]
    assert "commit_unknown" in responses[503]["description"]
