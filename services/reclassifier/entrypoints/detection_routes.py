"""What was found of service beside the tier and of ways around the rules, over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from services.chassis.auth import see_everything
from services.chassis.problems import FORBIDDEN, problem_responses
from services.contracts.payload import Identifier
from services.reclassifier.application.detection_ports import DetectionsAsked, StoredDetection
from services.reclassifier.domain.detections import Basis, Kind
from services.reclassifier.domain.orders import customer_of_owner, owner_of_customer
from services.reclassifier.entrypoints.desk import PAGE_MAX, POSITION_MAX, Desk, Reader
from services.reclassifier.entrypoints.window_documents import Answer


class DetectionDocument(Answer):
    """One finding: evidence for a person, which moves no tier.

    `customer_id` is the registry's, `reference` (system/id) that of a customer that nobody has resolved yet, `user` who
    entered or acted; each null where the finding is not about one. `numbers` were counted between `window_from` and
    `seen_at`, `limits` are what they were compared with. It stands until `ended_at`.
    """

    position: int
    kind: Kind
    basis: Basis
    customer_id: str | None
    reference: str | None
    user: str | None
    tier: str | None
    numbers: dict[str, int]
    limits: dict[str, int]
    sentence: str
    window_from: datetime
    found_at: datetime
    seen_at: datetime
    ended_at: datetime | None


class DetectionsPage(Answer):
    """Findings in the order in which they were made."""

    items: list[DetectionDocument]
    next_after: Annotated[int | None, Field(description="give it as `after` for the next page; null: none")]


def add_detections(router: APIRouter, desk: Desk) -> None:
    """The route."""

    @router.get(
        "/v1/detections",
        tags=["detections"],
        summary="Customers served beside their tier, and ways around the rules; follow them with `after`",
        responses=problem_responses(FORBIDDEN),
    )
    async def list_detections(  # noqa: PLR0917 - each is a filter of its own
        caller: Reader,
        kind: Annotated[Kind | None, Query(description="only those of this kind")] = None,
        customer_id: Annotated[Identifier | None, Query(description="only those of this customer")] = None,
        user: Annotated[Identifier | None, Query(description="only those of this user")] = None,
        standing: Annotated[bool | None, Query(description="only those that stand, or that have ended")] = None,
        after: Annotated[int, Query(ge=0, le=POSITION_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> DetectionsPage:
        see_everything(caller)
        owner = None if customer_id is None else owner_of_customer(customer_id)
        asked = DetectionsAsked(kind, owner, user, standing)
        found = await desk.transactions.read(lambda reader: reader.page_of_detections(asked, after, limit))
        cursor = found[-1].position if len(found) == limit else None
        return DetectionsPage(items=[_document(one) for one in found], next_after=cursor)


def _document(stored: StoredDetection) -> DetectionDocument:
    one = stored.detection
    customer_id = None if one.owner is None else customer_of_owner(one.owner)
    reference = one.owner.partition(":")[2] if one.owner is not None and customer_id is None else None
    return DetectionDocument(
        position=stored.position,
        kind=one.kind,
        basis=one.basis,
        customer_id=customer_id,
        reference=reference,
        user=one.user,
        tier=one.tier,
        numbers=dict(one.numbers),
        limits=dict(one.limits),
        sentence=one.sentence,
        window_from=stored.window_from,
        found_at=stored.found_at,
        seen_at=stored.seen_at,
        ended_at=stored.ended_at,
    )
