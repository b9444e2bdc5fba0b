"""`supply.v1`, `fulfilments.v1` and `catalog.v1` to the engine and the catalogue.

Each event is applied once by what its source calls it (source and reference, or an item's version), so that no inbox
row is needed, and the same movement by HTTP and by the event log counts once.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.atp.application.commands import Command, Origin
from services.atp.application.content import CustomerKey
from services.atp.application.cost_inputs import CostInputs, RateRow, rate_row
from services.atp.application.customer_blocks import BlockChange, CustomerBlocks
from services.atp.application.engine import Engine
from services.atp.application.network import Network, holidays_name
from services.atp.application.planning import OtherKind, PeriodsOverlap, Planning, VersionMoved
from services.atp.application.queues import Lane
from services.atp.application.routing import RoutingDocuments, TooManyRules
from services.atp.entrypoints.allocation_routes import draft_of
from services.atp.entrypoints.capacity_documents import CapacityDocument
from services.atp.entrypoints.problem_codes import DOCUMENT_KIND, HOLIDAYS_UNKNOWN, PERIODS_OVERLAP, TOO_MANY_RULES
from services.atp.entrypoints.routing_routes import routing_draft
from services.atp.entrypoints.supply_commands import Fulfilment, fulfilment_commands, report_command, supply_command
from services.chassis.deliveries import Delivery, Rejected
from services.chassis.envelope import Event
from services.contracts import catalogue
from services.contracts.blocks import CustomerBlock
from services.contracts.capacity import CatalogCapacity
from services.contracts.costs import ActivityRate, ActivityReported, LandedCost
from services.contracts.items import CatalogItem
from services.contracts.network import NetworkEntry
from services.contracts.payload import Payload
from services.contracts.routing import RoutingDocument, RoutingEntry
from services.contracts.supply import (
    CountCorrected,
    Delivered,
    Discrepancy,
    ScheduledReceipt,
    Shipped,
    SupplyMovement,
    SupplySnapshot,
    Transfer,
)
from services.contracts.warehouse import Returned, ShortPicked

UNEXPECTED: Final = "unexpected_event_type"
EVENT_LOG: Final = "catalog.v1"  # the author of what came by the log


class SupplyEvents:
    """Applies batches of `supply.v1`, in the order of the log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        """Submit all and wait for all; those that cannot be read are set aside."""
        commands: list[Command] = []
        rejected: list[Rejected] = []
        for place, delivery in enumerate(batch):
            said = _read(delivery.event, place, rejected)
            if isinstance(said, SupplyMovement | SupplySnapshot | ScheduledReceipt | Transfer):
                commands.append(supply_command(said, _origin(delivery.event)))
            elif said is not None and not isinstance(said, CountCorrected):
                rejected.append(Rejected(place, UNEXPECTED, delivery.event.type))
        await _apply(self._engine, commands)
        return rejected


class FulfilmentEvents:
    """Applies batches of `fulfilments.v1`; the events of one order that come together revise its promise once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        """Submit shipments, then deliveries, and wait for all; those that cannot be read are set aside."""
        said: list[tuple[Fulfilment, Origin]] = []
        reports: list[Command] = []
        rejected: list[Rejected] = []
        for place, delivery in enumerate(batch):
            payload = _read(delivery.event, place, rejected)
            if isinstance(payload, Shipped | Delivered | ShortPicked | Returned):
                said.append((payload, _origin(delivery.event)))
            elif isinstance(payload, ActivityReported | Discrepancy):
                reports.append(report_command(payload, _origin(delivery.event)))
            elif payload is not None:
                rejected.append(Rejected(place, UNEXPECTED, delivery.event.type))
        await _apply(self._engine, [*(command for command, _ in fulfilment_commands(said)), *reports])
        return rejected


class CatalogEvents:
    """Applies batches of `catalog.v1`: of an item, an entry of the network or a block the highest version counts."""

    def __init__(
        self,
        planning: Planning,
        network: Network,
        routing: RoutingDocuments,
        blocks: CustomerBlocks,
        costs: CostInputs,
    ) -> None:
        self._planning = planning
        self._network = network
        self._routing = routing
        self._blocks = blocks
        self._costs = costs

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        """Store the items of a batch in one transaction; its network, blocks and costs each in another."""
        rejected: list[Rejected] = []
        said = _sorted(batch, rejected)
        if said.rates:
            await self._costs.store(said.rates, EVENT_LOG)
        if said.items:
            await self._planning.store_items(said.items)
        if said.blocks:
            await self._blocks.store(said.blocks)
        stored = await self._network.store([each for _, each in said.network], checked=False, author=EVENT_LOG)
        unknown = {name.name for name in stored.unknown}
        rejected += [
            Rejected(place, HOLIDAYS_UNKNOWN.code, "holidays")
            for place, each in said.network
            if holidays_name(each) in unknown
        ]
        for place, entry in said.rules:
            reason = await self._refusal(entry)
            if reason is not None:
                rejected.append(Rejected(place, reason, entry.document))
        for place, told in said.capacities:
            reason = await self._capacity(told)
            if reason is not None:
                rejected.append(Rejected(place, reason, told.document))
        return rejected

    async def _capacity(self, told: CatalogCapacity) -> str | None:
        """Why a document of capacities is not stored; None: it is, or a later version is there."""
        document = CapacityDocument(effective_from=told.effective_from, lines=told.lines)
        try:
            await self._planning.store_document(
                draft_of(document, told.document, told.author or EVENT_LOG, version=told.version)
            )
        except OtherKind:
            return DOCUMENT_KIND.code
        except PeriodsOverlap:
            return PERIODS_OVERLAP.code
        except VersionMoved as moved:
            if moved.current is None:
                raise  # written at the same time: the batch comes again
        return None

    async def _refusal(self, entry: RoutingEntry) -> str | None:
        """Why a document of rules is not stored; None: it is, or a later version is there."""
        draft = routing_draft(entry, entry.document, entry.author or EVENT_LOG, version=entry.version)
        try:
            await self._routing.store(draft)
        except OtherKind:
            return DOCUMENT_KIND.code
        except TooManyRules:
            return TOO_MANY_RULES.code
        return None


@dataclass(slots=True)
class _Said:
    """A batch of `catalog.v1` by kind; rules and capacities with their place in the batch."""

    items: list[CatalogItem] = field(default_factory=list)
    network: list[tuple[int, NetworkEntry]] = field(default_factory=list)
    blocks: list[BlockChange] = field(default_factory=list)
    rates: list[RateRow] = field(default_factory=list)
    rules: list[tuple[int, RoutingEntry]] = field(default_factory=list)
    capacities: list[tuple[int, CatalogCapacity]] = field(default_factory=list)


def _sorted(batch: Sequence[Delivery], rejected: list[Rejected]) -> _Said:
    found = _Said()
    for place, delivery in enumerate(batch):
        match _read(delivery.event, place, rejected):
            case None:
                pass
            case CatalogItem() as item:
                found.items.append(item)
            case CustomerBlock() as block:
                found.blocks.append(_block_change(block, delivery.event.source))
            case LandedCost() | ActivityRate() as rate:
                found.rates.append(rate_row(rate))
            case RoutingDocument() as rules if isinstance(rules, RoutingEntry):
                found.rules.append((place, rules))
            case CatalogCapacity() as told:
                found.capacities.append((place, told))
            case entry if isinstance(entry, NetworkEntry):
                found.network.append((place, entry))
            case _:
                rejected.append(Rejected(place, UNEXPECTED, delivery.event.type))
    return found


def _block_change(said: CustomerBlock, author: str) -> BlockChange:
    effect = None if said.effect == "none" else said.effect
    customer = CustomerKey(said.customer.system, said.customer.id)
    return BlockChange(customer, said.kind, effect, said.effective_to, said.reason, author, said.version)


async def _apply(engine: Engine, commands: Sequence[Command]) -> None:
    """Submit in order, wait for all, and raise the first failure: the batch comes again, and what was done is known."""
    answers = await asyncio.gather(*(engine.submit(Lane.KAFKA, each) for each in commands), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer


def _read(event: Event, place: int, rejected: list[Rejected]) -> Payload | None:
    if not event.data:
        rejected.append(Rejected(place, catalogue.INVALID_PAYLOAD, "no data"))
        return None
    try:
        return catalogue.decode(event.type, event.data, topic=event.topic)
    except catalogue.EventRefused as error:
        rejected.append(Rejected(place, error.code, error.detail))
        return None


def _origin(event: Event) -> Origin:
    """Without an event id for the inbox: (source, reference) is what makes these unique."""
    return Origin(event.correlation_id, event.id, event.traceparent)
