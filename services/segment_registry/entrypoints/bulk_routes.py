"""Bulk imports over HTTP."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import TypeAdapter, ValidationError

from services.chassis.auth import Principal, require, see_everything
from services.chassis.problems import (
    BODY_TOO_LARGE,
    IDEMPOTENCY_KEY_REUSED,
    MALFORMED_JSON,
    VALIDATION_FAILED,
    Problem,
    problem_responses,
)
from services.contracts.catalogue import describe
from services.segment_registry.application.answer_once import Answer
from services.segment_registry.application.import_customers import IMPORT_ROWS_MAX, Imported, import_customers
from services.segment_registry.application.ports import RegistryTransaction
from services.segment_registry.domain.imports import ImportRow
from services.segment_registry.domain.second_person import SecondPersonNeeded
from services.segment_registry.entrypoints.desk import (
    Desk,
    IdempotencyKey,
    answer,
    commander,
    problem_answer,
)
from services.segment_registry.entrypoints.documents import (
    ImportBody,
    ImportDocument,
    ImportRowBody,
    RejectedRow,
    domain_identifiers,
    import_value,
)
from services.segment_registry.entrypoints.problem_codes import APPROVAL_REQUIRED, second_person
from services.segment_registry.entrypoints.record_documents import record_of

Importer = Annotated[Principal, Depends(require("registry.import"))]
IMPORT_PATH: Final = "/v1/imports"
PARSED_AT_ONCE: Final = 500  # rows; some 5 ms
IMPORT_BODY_MAX_BYTES: Final = 4_194_304  # 5,000 rows of 800 bytes: several identifiers and a sentence each
_ROW: Final = TypeAdapter(ImportRowBody)


def bulk_routes(desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["bulk"])

    @router.post(
        IMPORT_PATH,
        response_model=ImportDocument,
        summary="Take in a bulk of customers with their tiers",
        description="Good rows are stored together; bad ones are in the answer, by index and reason. Published behind"
        " single changes.",
        responses=problem_responses(
            MALFORMED_JSON,
            BODY_TOO_LARGE,
            VALIDATION_FAILED,
            IDEMPOTENCY_KEY_REUSED,
            APPROVAL_REQUIRED,
        ),
    )
    async def post_import(
        request: Request, principal: Importer, body: ImportBody, key: IdempotencyKey = None
    ) -> Response:
        see_everything(principal)
        rows, malformed = await _parsed(body.items)
        who = commander(request, principal)

        decided: list[Imported] = []  # of the attempt that was committed

        async def command(transaction: RegistryTransaction) -> Answer:
            imported = await import_customers(transaction, rows, who)
            if isinstance(imported, SecondPersonNeeded):
                decided.clear()
                return problem_answer(request, second_person(imported))
            decided[:] = [imported]
            return answer(import_value(imported, malformed))

        done = await desk.run(request, principal, command, key)
        for imported in decided:
            _count(desk, imported, len(malformed))
        return done

    return router


async def _parsed(items: object) -> tuple[list[ImportRow], list[RejectedRow]]:
    """The rows of a bulk, and those that break a rule of their schema. Raises Problem if it is no bulk at all."""
    if not isinstance(items, list) or not 1 <= len(items) <= IMPORT_ROWS_MAX:
        raise Problem(VALIDATION_FAILED, f"items is a list of 1 to {IMPORT_ROWS_MAX} rows")
    rows: list[ImportRow] = []
    malformed: list[RejectedRow] = []
    for index, item in enumerate(items):
        if index % PARSED_AT_ONCE == 0:
            await asyncio.sleep(0)  # let others of this process have their turn
        try:
            row = _ROW.validate_python(item)
        except ValidationError as error:
            malformed.append(RejectedRow(index=index, code=VALIDATION_FAILED.code, detail=describe(error)))
        else:
            record = None if row.record is None else record_of(row.record)
            rows.append(ImportRow(index, domain_identifiers(row.identifiers), row.tier, row.reason, record))
    return rows, malformed


def _count(desk: Desk, imported: Imported, malformed: int) -> None:
    counts = desk.metrics.imported
    counts.at("created").inc(imported.created)
    counts.at("changed").inc(imported.changed)
    counts.at("unchanged").inc(imported.unchanged)
    counts.at("malformed").inc(malformed)
    for row in imported.refused:
        counts.at(row.reason).inc()
