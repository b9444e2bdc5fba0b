"""Golden records and personal fields over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from services.chassis.auth import Principal, require
from services.chassis.problems import (
    BAD_REQUEST,
    IDEMPOTENCY_KEY_REUSED,
    PRECONDITION_FAILED,
    VALIDATION_FAILED,
    Problem,
    problem_responses,
)
from services.segment_registry.application.answer_once import Answer
from services.segment_registry.application.change_content import document_of_record
from services.segment_registry.application.change_customers import CustomerUnknown
from services.segment_registry.application.keep_records import (
    ContractTierUnknown,
    SequenceMoved,
    erase_personal,
    keep_personal,
    keep_record,
    read_personal,
)
from services.segment_registry.application.ports import RegistryTransaction
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.second_person import SecondPersonNeeded
from services.segment_registry.entrypoints.desk import (
    Desk,
    IdempotencyKey,
    answer,
    commander,
    problem_answer,
    response,
    see_customers,
)
from services.segment_registry.entrypoints.problem_codes import (
    APPROVAL_REQUIRED,
    CONTRACT_TIER_UNKNOWN,
    CUSTOMER_UNKNOWN,
    customer_unknown,
    second_person,
)
from services.segment_registry.entrypoints.record_documents import (
    EraseBody,
    ErasedDocument,
    PersonalDocument,
    RecordDocument,
    record_of,
)
from services.segment_registry.entrypoints.versions import etag, expected_version

Writer = Annotated[Principal, Depends(require("registry.write"))]
PersonalReader = Annotated[Principal, Depends(require("registry.personal"))]
Eraser = Annotated[Principal, Depends(require("registry.erase"))]
CustomerId = Annotated[str, Path(max_length=128)]


def record_routes(desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["customers"])
    _add_record(router, desk)
    _add_personal(router, desk)
    return router


def _add_record(router: APIRouter, desk: Desk) -> None:
    @router.put(
        "/v1/customers/{customer_id}/record",
        response_model=RecordDocument,
        summary="Say anew, and whole, what is known of a customer: owner, type, industry, contract",
        description="`If-Match` with the customer's sequence refuses to overwrite another change.",
        responses=problem_responses(
            BAD_REQUEST,
            CUSTOMER_UNKNOWN,
            PRECONDITION_FAILED,
            VALIDATION_FAILED,
            APPROVAL_REQUIRED,
            CONTRACT_TIER_UNKNOWN,
        ),
    )
    async def put_record(
        request: Request,
        principal: Writer,
        customer_id: CustomerId,
        body: RecordDocument,
        if_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        see_customers(principal)
        expected = expected_version(if_match, None)
        who = commander(request, principal)
        record = record_of(body)
        outcome = await desk.transactions.run(
            lambda transaction: keep_record(
                transaction, customer_id, record, expected_sequence=expected, commander=who
            ),
            label="PUT /v1/customers/{customer_id}/record",
        )
        match outcome:
            case CustomerUnknown():
                raise customer_unknown()
            case ContractTierUnknown(tier):
                raise Problem(CONTRACT_TIER_UNKNOWN, tier=tier)
            case SecondPersonNeeded() as needed:
                raise second_person(needed)
            case SequenceMoved(sequence):
                raise Problem(PRECONDITION_FAILED, version=sequence)
            case Customer():
                return response(answer(document_of_record(outcome.record)), etag(outcome.sequence))


def _add_personal(router: APIRouter, desk: Desk) -> None:
    @router.get(
        "/v1/customers/{customer_id}/personal",
        response_model=PersonalDocument,
        summary="The personal fields of a customer",
        responses=problem_responses(CUSTOMER_UNKNOWN),
    )
    async def get_personal(principal: PersonalReader, customer_id: CustomerId) -> Response:
        see_customers(principal)
        found = await desk.transactions.read(lambda reader: read_personal(reader, customer_id))
        if isinstance(found, CustomerUnknown):
            raise customer_unknown()
        return _personal(found)

    @router.put(
        "/v1/customers/{customer_id}/personal",
        response_model=PersonalDocument,
        summary="Say anew, and whole, the personal fields of a customer",
        responses=problem_responses(CUSTOMER_UNKNOWN, VALIDATION_FAILED),
    )
    async def put_personal(
        request: Request, principal: PersonalReader, customer_id: CustomerId, body: PersonalDocument
    ) -> Response:
        see_customers(principal)
        fields: dict[str, str] = body.model_dump(exclude_none=True)
        who = commander(request, principal)
        kept = await desk.transactions.run(
            lambda transaction: keep_personal(transaction, customer_id, fields, who),
            label="PUT /v1/customers/{customer_id}/personal",
        )
        if isinstance(kept, CustomerUnknown):
            raise customer_unknown()
        return _personal(kept)

    @router.post(
        "/v1/customers/{customer_id}:erase",
        response_model=ErasedDocument,
        summary="Erase the personal fields of a customer",
        description="The customer stays known by its ids, and served; ledger, audit chain and events never held them.",
        responses=problem_responses(CUSTOMER_UNKNOWN, VALIDATION_FAILED, IDEMPOTENCY_KEY_REUSED),
    )
    async def post_erase(
        request: Request, principal: Eraser, customer_id: CustomerId, body: EraseBody, key: IdempotencyKey = None
    ) -> Response:
        see_customers(principal)
        who = commander(request, principal)

        async def command(transaction: RegistryTransaction) -> Answer:
            outcome = await erase_personal(transaction, customer_id, body.reason, who)
            if isinstance(outcome, CustomerUnknown):
                return problem_answer(request, customer_unknown())
            return answer({"customer_id": customer_id, "erased": outcome})

        return await desk.run(request, principal, command, key)


def _personal(fields: dict[str, str]) -> Response:
    return response(answer(PersonalDocument(**fields).model_dump(mode="json")), {"cache-control": "no-store"})
