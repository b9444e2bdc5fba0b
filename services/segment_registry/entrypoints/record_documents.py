"""The golden record as it is given and answered."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from services.contracts.payload import Code, Day, Identifier, Note, Payload, broken_rule
from services.segment_registry.domain.records import COMMITMENTS_MAX, Contract, CustomerRecord

PersonalText = Annotated[Note, Field(min_length=1, max_length=200)]


class ContractDocument(Payload):
    """A contract, from its first day to its last (null: open). No automatic move goes below `minimum_tier`."""

    starts: Day
    ends: Day | None = None
    minimum_tier: Code | None = None
    commitments: Annotated[tuple[Annotated[Note, Field(min_length=1)], ...], Field(max_length=COMMITMENTS_MAX)] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends is not None and self.ends < self.starts:
            raise broken_rule("a contract ends after it starts")
        return self


class RecordDocument(Payload):
    """The golden record; `strategic` marks a key account. Ids and codes only: personal fields are kept apart."""

    account_owner: Identifier | None = None
    customer_type: Code | None = None
    industry: Code | None = None
    strategic: bool = False
    contract: ContractDocument | None = None


class PersonalDocument(Payload):
    """Personal fields: in one table, in no event, log or audit entry, and erased by `:erase`."""

    contact_name: PersonalText | None = None
    email: PersonalText | None = None
    phone: PersonalText | None = None
    address: PersonalText | None = None


class EraseBody(Payload):
    """Why personal fields are erased; no personal field belongs in it."""

    reason: Annotated[Note, Field(min_length=1)]


class ErasedDocument(Payload):
    """`erased`: whether there were personal fields."""

    customer_id: Identifier
    erased: bool


def record_of(document: RecordDocument) -> CustomerRecord:
    """As the domain has it."""
    contract = document.contract
    return CustomerRecord(
        document.account_owner,
        document.customer_type,
        document.industry,
        document.strategic,
        None
        if contract is None
        else Contract(contract.starts, contract.ends, contract.minimum_tier, contract.commitments),
    )
