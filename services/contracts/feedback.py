"""Surveys and complaints, as a CRM knows them, on `customer.feedback.v1`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from services.contracts.orders import CustomerRef
from services.contracts.payload import Code, Identifier, Moment, Payload, Version, broken_rule

SCORE_MAX = 10  # "how likely is it that you would recommend us", 0 to 10


class FeedbackGiven(Payload):
    """`feedback.given.v1`: one piece of feedback, by (source, reference); of several versions the highest counts.

    A survey has a score, a complaint has none. `withdrawn` takes the piece back. The text of what was said stays at
    its source: this topic carries no personal field. The event's key is the registry's id of the customer or, where its
    sender does not know it, `<system>/<id>` of `customer`.
    """

    source: Code
    reference: Identifier
    version: Version = 1
    customer: CustomerRef
    kind: Literal["survey", "complaint"]
    score: Annotated[int, Field(strict=True, ge=0, le=SCORE_MAX)] | None = None
    withdrawn: bool = False
    occurred_at: Moment

    @model_validator(mode="after")
    def _scores_surveys(self) -> Self:
        if (self.score is None) is (self.kind == "survey"):
            raise broken_rule("a survey has a score, a complaint has none")
        return self
