"""`GET /v1/audit`, the same in every service."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict

from services.chassis.audit.chain import AuditRecord
from services.chassis.auth import Principal, require, see_everything
from services.chassis.problems import FORBIDDEN, VALIDATION_FAILED, problem_responses

AUDIT_PAGE_MAX: Final = 1_000  # records of one page
POSITION_MAX: Final = 2**53


ReadPage = Callable[[int, int], Awaitable[list[AuditRecord]]]


class AuditDocument(BaseModel):
    """One change. `digest` is the SHA-256 of the chain up to it; null until an older version's entry is chained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    position: int
    at: datetime
    author: str
    action: str
    subject: str
    detail: dict[str, Any]
    digest: str | None = None


class AuditPage(BaseModel):
    """Changes by position; go on with the position of the last one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: tuple[AuditDocument, ...]


def audit_routes(read_page: ReadPage, *, scope: str, what: str) -> APIRouter:
    """The route, for callers with `scope` who are not limited to account groups; `what` ends its summary."""
    router = APIRouter(tags=["audit"])

    @router.get(
        "/v1/audit",
        response_model=AuditPage,
        summary=f"Every change of {what}, in the order of their commits",
        description="The trail is chained by hash and anchored outside the database; `tiercel audit verify` checks it.",
        responses=problem_responses(VALIDATION_FAILED, FORBIDDEN),
    )
    async def get_audit(
        principal: Annotated[Principal, Depends(require(scope))],
        after: Annotated[int, Query(ge=0, le=POSITION_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=AUDIT_PAGE_MAX)] = 100,
    ) -> Response:
        see_everything(principal)
        records = await read_page(after, limit)
        body = orjson.dumps({"items": [document(record) for record in records]})
        return Response(body, media_type="application/json")

    return router


def document(record: AuditRecord) -> dict[str, Any]:
    """A record as plain values: an `AuditDocument`, and a line of an export."""
    entry = record.entry
    return {
        "position": record.position,
        "at": record.at,
        "author": entry.author,
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
        "digest": None if record.digest is None else record.digest.hex(),
    }
