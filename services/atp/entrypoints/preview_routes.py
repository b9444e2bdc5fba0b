"""`POST /v1/previews`: what would change, and for whom, before anything is changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field, model_validator

from services.atp.application.closings import TriedClosing
from services.atp.application.content import CustomerKey
from services.atp.application.engine import Engine
from services.atp.application.planning import Draft, OtherKind, PeriodsOverlap, VersionMoved
from services.atp.application.preview_changes import (
    Changes,
    NotKnown,
    Picture,
    Preview,
    PreviewTooLarge,
    ReceiptChange,
    Rehearsals,
    TierChange,
    TriedRun,
    preview,
)
from services.atp.application.routing import TooManyRules
from services.atp.application.service_rules import RuleDraft
from services.atp.application.supply_entries import Reference
from services.atp.domain.model import PositionKey
from services.atp.domain.shifts import LineStanding, Totals, by_tier, totals
from services.atp.entrypoints.allocation_documents import HierarchyDocument, ProtectionDocument, QuotaDocument
from services.atp.entrypoints.allocation_routes import draft_of, refusal
from services.atp.entrypoints.capacity_documents import CapacityDocument
from services.atp.entrypoints.problem_codes import (
    CHANNEL_FORBIDDEN,
    CUSTOMER_UNKNOWN,
    DOCUMENT_KIND,
    LOCATION_UNKNOWN,
    PERIODS_OVERLAP,
    PREVIEW_TOO_LARGE,
    RECEIPT_UNKNOWN,
    TIER_UNKNOWN,
    TOO_MANY_RULES,
    VARIANT_UNKNOWN,
)
from services.atp.entrypoints.routing_routes import routing_draft
from services.atp.entrypoints.service_rule_routes import RuleBody
from services.chassis.auth import Principal, require
from services.chassis.problems import OVERLOADED, PRECONDITION_FAILED, Problem, problem_responses
from services.contracts.orders import CustomerRef
from services.contracts.payload import Code, Day, Identifier, Payload, QuantityOrZero, Version, broken_rule
from services.contracts.routing import FulfilmentModes, SourcingRules
from services.contracts.segments import Strategy

DOCUMENTS_MAX: Final = 10  # of one preview; each has a thousand lines at most
RECEIPTS_MAX: Final = 200
CUSTOMERS_MAX: Final = 500
CLOSINGS_MAX: Final = 10
DAYS_MAX: Final = 365
STRATEGIES_MAX: Final = 50
RUN_ITEMS_MAX: Final = 500
SHOWN_MAX: Final = 1_000  # promises, and positions, of one answer; the totals are of all
Previewer = Annotated[Principal, Depends(require("atp.preview"))]
_UNKNOWN: Final = {
    "receipt": RECEIPT_UNKNOWN,
    "customer": CUSTOMER_UNKNOWN,
    "tier": TIER_UNKNOWN,
    "location": LOCATION_UNKNOWN,
    "variant": VARIANT_UNKNOWN,
}


class _Tried(Payload):
    """A document as it would be written, under the id of the one that it replaces, or a new one."""

    document_id: Code
    base_version: Annotated[int, Field(strict=True, ge=0)] | None = None


class TriedProtections(_Tried):
    """A protection document; see `PUT /v1/protections/{document_id}`."""

    document: ProtectionDocument


class TriedQuotas(_Tried):
    """A quota document; see `PUT /v1/quotas/{document_id}`."""

    document: QuotaDocument


class TriedHierarchy(_Tried):
    """A hierarchy; see `PUT /v1/hierarchies/{document_id}`."""

    document: HierarchyDocument


class TriedCapacities(_Tried):
    """A capacity document; see `PUT /v1/capacities/{document_id}`."""

    document: CapacityDocument


class TriedSourcingRules(_Tried):
    """A document of sourcing rules; see `PUT /v1/sourcing-rules/{document_id}`."""

    document: SourcingRules


class TriedFulfilmentModes(_Tried):
    """A document of fulfilment modes; see `PUT /v1/fulfilment-modes/{document_id}`."""

    document: FulfilmentModes


class TriedReceipt(Payload):
    """A scheduled receipt that comes `days_later` (negative: earlier), or with another quantity (0: not at all)."""

    source: Code
    reference: Identifier
    sku: Identifier
    location: Code
    days_later: Annotated[int, Field(strict=True, ge=-DAYS_MAX, le=DAYS_MAX)] = 0
    quantity: QuantityOrZero | None = None


class TriedTier(Payload):
    """A customer that is in a tier from now on, whatever else it was assigned."""

    customer: CustomerRef
    tier: Code


class TriedLocation(Payload):
    """A location that is closed for promising, with what it promised moved elsewhere where nobody loses by it."""

    location: Code
    until: Day | None = None


class TriedStrategy(Payload):
    """A tier that has this strategy; those that are not named keep theirs."""

    tier: Code
    strategy: Strategy


class TriedVariant(Payload):
    """A stored variant of backorder processing: its version in effect, or another one."""

    variant_id: Code
    version: Version | None = None


class TriedRunRequest(Payload):
    """A run of the re-decision with strategies of tiers, over items (none named: all that is waited for).

    Or a run by a stored variant, as `POST /v1/runs` would make it.
    """

    strategies: Annotated[tuple[TriedStrategy, ...], Field(max_length=STRATEGIES_MAX)] = ()
    skus: Annotated[tuple[Identifier, ...], Field(max_length=RUN_ITEMS_MAX)] = ()
    variant: TriedVariant | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.variant is None) == (not self.strategies) or (self.variant is not None and self.skus):
            raise broken_rule("a run is by strategies of tiers, over items if any are named, or by a variant")
        return self


class PreviewRequest(Payload):
    """What to try, in this order: documents, the rule of who is served first, receipts, tiers, a run, closings."""

    protections: Annotated[tuple[TriedProtections, ...], Field(max_length=DOCUMENTS_MAX)] = ()
    quotas: Annotated[tuple[TriedQuotas, ...], Field(max_length=DOCUMENTS_MAX)] = ()
    hierarchies: Annotated[tuple[TriedHierarchy, ...], Field(max_length=DOCUMENTS_MAX)] = ()
    capacities: Annotated[tuple[TriedCapacities, ...], Field(max_length=DOCUMENTS_MAX)] = ()
    sourcing_rules: Annotated[tuple[TriedSourcingRules, ...], Field(max_length=DOCUMENTS_MAX)] = ()
    fulfilment_modes: Annotated[tuple[TriedFulfilmentModes, ...], Field(max_length=DOCUMENTS_MAX)] = ()
    receipts: Annotated[tuple[TriedReceipt, ...], Field(max_length=RECEIPTS_MAX)] = ()
    tiers: Annotated[tuple[TriedTier, ...], Field(max_length=CUSTOMERS_MAX)] = ()
    closings: Annotated[tuple[TriedLocation, ...], Field(max_length=CLOSINGS_MAX)] = ()
    service_rule: RuleBody | None = None
    run: TriedRunRequest | None = None

    @model_validator(mode="after")
    def _something_once(self) -> Self:
        tried = (*self.protections, *self.quotas, *self.hierarchies, *self.capacities)
        documents = [each.document_id for each in (*tried, *self.sourcing_rules, *self.fulfilment_modes)]
        receipts = [(each.sku, each.location, each.source, each.reference) for each in self.receipts]
        customers = [(each.customer.system, each.customer.id) for each in self.tiers]
        closings = [each.location for each in self.closings]
        strategies = [each.tier for each in self.run.strategies] if self.run is not None else []
        for names in (documents, receipts, customers, closings, strategies):
            if len(dict.fromkeys(names)) < len(names):
                raise broken_rule("a document, a receipt, a customer, a location or a tier is tried once")
        something = documents or receipts or customers or closings or self.run or self.service_rule is not None
        if not something or len(documents) > DOCUMENTS_MAX:
            raise broken_rule(f"something is tried, and {DOCUMENTS_MAX} documents at most")
        return self


class Standing(Payload):
    """A line as it stands; `at_risk` is the part of what is promised that supply does not cover."""

    promised: int
    backordered: int
    at_risk: int
    last_arrival: str | None


class LineShift(Payload):
    """A line before and after."""

    line: str
    sku: str
    before: Standing
    after: Standing
    gained: int
    lost: int


class PromiseShift(Payload):
    """A promise that would change. Units gained and lost are of what is promised and covered."""

    promise_id: UUID
    source: str
    order_id: str
    customer_id: str | None
    tier_before: str
    tier: str
    gained: int
    lost: int
    lines: tuple[LineShift, ...]


class Shifted(Payload):
    """Units, and how many promises."""

    gained: int
    lost: int
    promises_gaining: int
    promises_losing: int


class TierShift(Shifted):
    """Of the lines that are in this tier afterwards."""

    tier: str


class RoomShift(Payload):
    """What a tier could newly take at a position: today, and at most on any day."""

    sku: str
    location: str
    tier: str
    today_before: int
    today: int
    most_before: int
    most: int


class LookedAt(Payload):
    """How much was looked at, within the bounds."""

    items: int
    positions: int
    promises: int


class PreviewAnswer(Payload):
    """What would change as of a moment. Lists are cut at a length; `promises_changed`, `rooms_changed` count all."""

    as_of: datetime
    looked_at: LookedAt
    total: Shifted
    tiers: tuple[TierShift, ...]
    promises_changed: int
    promises: tuple[PromiseShift, ...]
    rooms_changed: int
    rooms: tuple[RoomShift, ...]


def preview_routes(rehearsals: Rehearsals, engine: Engine) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["previews"])

    @router.post(
        "/v1/previews",
        summary="What documents of allocation and routing, supply, tiers or a closed location would change",
        response_model=PreviewAnswer,
        responses=problem_responses(
            CHANNEL_FORBIDDEN,
            PERIODS_OVERLAP,
            DOCUMENT_KIND,
            PRECONDITION_FAILED,
            PREVIEW_TOO_LARGE,
            RECEIPT_UNKNOWN,
            CUSTOMER_UNKNOWN,
            TIER_UNKNOWN,
            LOCATION_UNKNOWN,
            VARIANT_UNKNOWN,
            TOO_MANY_RULES,
            OVERLOADED,
        ),
    )
    async def post_preview(principal: Previewer, body: PreviewRequest) -> dict[str, Any]:
        """Decided by the same code as the change itself, on one consistent picture; nothing is written.

        Documents are taken as if they were in effect at once. Promises are those that wait for the items concerned or
        are open on them; a process makes one preview at a time.
        """
        check_sees_all(principal)
        return preview_document(await make_preview(rehearsals, engine, _changes(body, principal.subject)))

    return router


def check_sees_all(principal: Principal) -> None:
    """Raise Problem (403) for a caller that is limited to some orders: a preview is of all of them."""
    if principal.channels is not None or principal.account_groups is not None:
        raise Problem(CHANNEL_FORBIDDEN, "a preview is of the orders of all channels and account groups")


async def make_preview(rehearsals: Rehearsals, engine: Engine, changes: Changes) -> Preview:
    """The preview. Raises Problem (409, 412, 422)."""
    try:
        return await preview(rehearsals, engine, changes)
    except (PeriodsOverlap, OtherKind, VersionMoved) as error:
        raise refusal(error) from None
    except NotKnown as error:
        raise Problem(_UNKNOWN[error.what], f"not known: {', '.join(error.names)}") from None
    except TooManyRules:
        raise Problem(TOO_MANY_RULES) from None
    except PreviewTooLarge as error:
        found = "more" if error.found is None else str(error.found)
        detail = f"at most {error.limit} {error.bound} are looked at; the change concerns {found}"
        raise Problem(PREVIEW_TOO_LARGE, detail, bound=error.bound, limit=error.limit) from None


def preview_document(found: Preview) -> dict[str, Any]:
    """A preview as it is answered."""
    promises = _promises(found)
    rooms = _rooms(found.before, found.after)
    return {
        "as_of": found.as_of,
        "looked_at": {"items": found.items, "positions": found.positions, "promises": found.promises},
        "total": _totals(totals(found.shifts)),
        "tiers": [{"tier": tier, **_totals(each)} for tier, each in by_tier(found.shifts).items()],
        "promises_changed": len(promises),
        "promises": promises[:SHOWN_MAX],
        "rooms_changed": len(rooms),
        "rooms": rooms[:SHOWN_MAX],
    }


def _changes(body: PreviewRequest, author: str) -> Changes:
    tried: Sequence[TriedProtections | TriedQuotas | TriedHierarchy | TriedCapacities]
    tried = (*body.protections, *body.quotas, *body.hierarchies, *body.capacities)
    drafts: list[Draft] = [draft_of(each.document, each.document_id, author, base=each.base_version) for each in tried]
    receipts = [
        ReceiptChange(
            Reference(PositionKey(each.sku, each.location), each.source, each.reference), each.days_later, each.quantity
        )
        for each in body.receipts
    ]
    tiers = [TierChange(CustomerKey(each.customer.system, each.customer.id), each.tier) for each in body.tiers]
    closings = [
        TriedClosing(each.location, None if each.until is None else each.until.toordinal()) for each in body.closings
    ]
    rules: Sequence[TriedSourcingRules | TriedFulfilmentModes] = (*body.sourcing_rules, *body.fulfilment_modes)
    routing = [routing_draft(each.document, each.document_id, author, base=each.base_version) for each in rules]
    rule = None if body.service_rule is None else RuleDraft(body.service_rule.stored(), None, author)
    run = None
    if body.run is not None:
        variant = None if body.run.variant is None else (body.run.variant.variant_id, body.run.variant.version)
        run = TriedRun({each.tier: each.strategy for each in body.run.strategies}, body.run.skus, variant)
    return Changes(tuple(drafts), tuple(routing), tuple(receipts), tuple(tiers), tuple(closings), rule, run)


def _promises(found: Preview) -> list[dict[str, Any]]:
    """The promises that change, the greatest loss first, then the greatest gain."""
    shown: dict[str, dict[str, Any]] = {}
    for shift in found.shifts:
        promise_id = shift.key.promise_id
        head = found.heads[promise_id]
        promise = shown.setdefault(
            promise_id,
            {
                "promise_id": promise_id,
                "source": head.source,
                "order_id": head.order_id,
                "customer_id": head.customer_id,
                "tier_before": shift.before.tier,
                "tier": shift.after.tier,
                "gained": 0,
                "lost": 0,
                "lines": [],
            },
        )
        promise["gained"] += shift.gained
        promise["lost"] += shift.lost
        promise["lines"].append(
            {
                "line": shift.key.line,
                "sku": shift.after.item_id,
                "before": _standing(shift.before),
                "after": _standing(shift.after),
                "gained": shift.gained,
                "lost": shift.lost,
            }
        )
    return sorted(shown.values(), key=lambda each: (-each["lost"], -each["gained"], each["promise_id"]))


def _standing(line: LineStanding) -> dict[str, Any]:
    names = ("promised", "backordered", "at_risk", "last_arrival")
    return {name: getattr(line, name) for name in names}


def _totals(found: Totals) -> dict[str, int]:
    return {name: getattr(found, name) for name in ("gained", "lost", "promises_gaining", "promises_losing")}


def _rooms(before: Picture, after: Picture) -> list[dict[str, Any]]:
    nothing = (0, 0)
    return [
        {
            "sku": key[0],
            "location": key[1],
            "tier": key[2],
            "today_before": before.rooms.get(key, nothing)[0],
            "today": after.rooms[key][0],
            "most_before": before.rooms.get(key, nothing)[1],
            "most": after.rooms[key][1],
        }
        for key in sorted(after.rooms)
        if after.rooms[key] != before.rooms.get(key, nothing)
    ]
