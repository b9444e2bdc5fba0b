"""Customers and their identifiers over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.chassis.auth import Principal, require, see_everything
from services.chassis.problems import IDEMPOTENCY_KEY_REUSED, VALIDATION_FAILED, problem_responses
from services.contracts.payload import Code
from services.contracts.payload import Identifier as IdentifierText
from services.segment_registry.application.answer_once import Answer
from services.segment_registry.application.change_customers import CustomerUnknown
from services.segment_registry.application.ports import RegistryTransaction
from services.segment_registry.application.read_customers import (
    PAGE_MAX,
    CustomerView,
    customer_at,
    page_of_customers,
    resolve_identifier,
)
from services.segment_registry.application.register_customer import register_customer
from services.segment_registry.application.replace_identifiers import replace_identifiers
from services.segment_registry.domain.customers import Customer, Identifier, IdentifiersRefused, served_tier
from services.segment_registry.entrypoints.desk import (
    Desk,
    IdempotencyKey,
    answer,
    commander,
    problem_answer,
    response,
    see_customers,
)
from services.segment_registry.entrypoints.documents import (
    CustomerDocument,
    CustomerPage,
    IdentifiersBody,
    customer_value,
    domain_identifiers,
)
from services.segment_registry.entrypoints.problem_codes import (
    CUSTOMER_UNKNOWN,
    IDENTIFIER_PROBLEMS,
    customer_unknown,
    identifiers_problem,
)

Reader = Annotated[Principal, Depends(require("registry.read"))]
Writer = Annotated[Principal, Depends(require("registry.write"))]
CustomerId = Annotated[str, Path(max_length=128)]


def customer_routes(desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["customers"])
    _add_reads(router, desk)
    _add_commands(router, desk)
    return router


def _add_reads(router: APIRouter, desk: Desk) -> None:
    @router.get(
        "/v1/customers:resolve",
        response_model=CustomerDocument,
        summary="The customer that a system knows by an id",
        responses=problem_responses(CUSTOMER_UNKNOWN, VALIDATION_FAILED),
    )
    async def resolve(
        principal: Reader, system: Annotated[Code, Query()], identifier: Annotated[IdentifierText, Query(alias="id")]
    ) -> Response:
        see_customers(principal)
        asked = Identifier(system, identifier)
        return _shown(await desk.transactions.read(lambda reader: resolve_identifier(reader, asked)))

    @router.get("/v1/customers:list", response_model=CustomerPage, summary="All customers, page by page")
    async def list_customers(
        principal: Reader, cursor: UUID | None = None, limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100
    ) -> Response:
        see_everything(principal)
        after = None if cursor is None else str(cursor)
        page, next_cursor = await desk.transactions.read(lambda reader: page_of_customers(reader, after, limit))
        return response(answer({"items": [customer_value(view) for view in page], "next_cursor": next_cursor}))

    @router.get(
        "/v1/customers/{customer_id}",
        response_model=CustomerDocument,
        summary="A customer with its identifiers, its tier and what is planned",
        responses=problem_responses(CUSTOMER_UNKNOWN),
    )
    async def get_customer(principal: Reader, customer_id: CustomerId) -> Response:
        see_customers(principal)
        return _shown(await desk.transactions.read(lambda reader: customer_at(reader, customer_id, None)))


def _add_commands(router: APIRouter, desk: Desk) -> None:
    @router.post(
        "/v1/customers",
        response_model=CustomerDocument,
        summary="Make a customer known, or find the one that the identifiers mean",
        description="Identifiers that mean one customer are all its own from here on. 201 for a new customer.",
        responses={
            201: {"model": CustomerDocument},
            **problem_responses(VALIDATION_FAILED, IDEMPOTENCY_KEY_REUSED, *IDENTIFIER_PROBLEMS.values()),
        },
    )
    async def post_customer(
        request: Request, principal: Writer, body: IdentifiersBody, key: IdempotencyKey = None
    ) -> Response:
        see_everything(principal)
        identifiers = domain_identifiers(body.identifiers)
        who = commander(request, principal)

        async def command(transaction: RegistryTransaction) -> Answer:
            outcome = await register_customer(transaction, identifiers, who)
            if isinstance(outcome, IdentifiersRefused):
                return problem_answer(request, identifiers_problem(outcome))
            return answer(await _value(transaction, outcome.customer), 201 if outcome.created else 200)

        return await desk.run(request, principal, command, key)

    @router.put(
        "/v1/customers/{customer_id}/identifiers",
        response_model=CustomerDocument,
        summary="Say anew under which identifiers other systems know a customer",
        responses=problem_responses(CUSTOMER_UNKNOWN, VALIDATION_FAILED, *IDENTIFIER_PROBLEMS.values()),
    )
    async def put_identifiers(
        request: Request, principal: Writer, customer_id: CustomerId, body: IdentifiersBody
    ) -> Response:
        see_customers(principal)
        identifiers = domain_identifiers(body.identifiers)
        who = commander(request, principal)

        async def command(transaction: RegistryTransaction) -> Answer:
            outcome = await replace_identifiers(transaction, customer_id, identifiers, who)
            match outcome:
                case CustomerUnknown():
                    return problem_answer(request, customer_unknown())
                case IdentifiersRefused():
                    return problem_answer(request, identifiers_problem(outcome))
                case Customer():
                    return answer(await _value(transaction, outcome))

        return await desk.run(request, principal, command, None)


async def _value(transaction: RegistryTransaction, customer: Customer) -> dict[str, object]:
    now = await transaction.now()
    return customer_value(CustomerView(customer, served_tier(customer, await transaction.tiers(), now), now))


def _shown(view: CustomerView | None) -> Response:
    if view is None:
        raise customer_unknown()
    return response(answer(customer_value(view)), {"etag": f'"{view.customer.sequence}"'})
