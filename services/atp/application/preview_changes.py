"""Previews: what would change if allocation documents, expected supply or the tiers of customers were changed.

The very code that makes the changes makes them here: documents are stored, receipts are scheduled anew, tiers count
from now on, and then the re-decision and the reviews of deficits run until nothing is left to do. It all happens on
copies in a transaction that is never committed (`Rehearsals`), on one consistent picture; nothing is written, and no
row that decisions need is locked. What was still to be re-decided of the same items is done before the first look, so
that only what the change causes is shown.

A document is taken as if it were in effect at once, whatever its effective date: what will have happened by then is not
known. Changes are made in the order documents (of allocation, of routing), receipts, tiers, closings; of a closing also
what is then moved away.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from uuid import UUID

from services.atp.application.batch import Batch
from services.atp.application.closings import TriedClosing
from services.atp.application.commands import Applied, Origin, ServeBackorders
from services.atp.application.content import CustomerKey, OrderKey
from services.atp.application.continue_run import ContinueRun
from services.atp.application.engine import Engine
from services.atp.application.move_away import MoveAway
from services.atp.application.planning import Draft
from services.atp.application.ports import Session
from services.atp.application.read_availability import ReadAvailability, View, tier_room
from services.atp.application.redecide import PORTION_LINES_MAX
from services.atp.application.review_deficits import ReviewDeficits
from services.atp.application.routing import NO_DOCKING, RoutingDraft
from services.atp.application.service_rules import RuleDraft
from services.atp.application.supply_entries import Reference
from services.atp.application.take_supply import ScheduleReceipt
from services.atp.application.waiting_lines import MarkedItem
from services.atp.domain.model import PositionKey
from services.atp.domain.scheduled_receipts import Scheduled
from services.atp.domain.shifts import LineKey, LineStanding, Shift, shifts
from services.atp.domain.shipping_days import at_dock
from services.atp.domain.strategies import Strategy
from services.contracts.risks import RiskCause

T = TypeVar("T")
POSITIONS_MAX: Final = 1_000  # of the items concerned: some megabytes of copies
PROMISES_MAX: Final = 5_000  # open ones of these items, copied with their parts: some ten megabytes
SECONDS_MAX: Final = 8.0  # in all; callers are answered within ten
ORDERS_AT_ONCE: Final = 200  # of those that are moved away: as many as a portion of a re-decision
ROUNDS_MAX: Final = 1_000  # of re-decision; each is a portion of every item that is left
_ORIGIN: Final = Origin("preview", "preview")


class PreviewTooLarge(Exception):  # noqa: N818 - says what is wrong
    """The change concerns more than a preview looks at: which bound, what it is, and how much there is (None: more)."""

    def __init__(self, bound: str, limit: int, found: int | None = None) -> None:
        super().__init__(bound, limit, found)
        self.bound = bound
        self.limit = limit
        self.found = found


class NotKnown(Exception):  # noqa: N818 - says what is wrong
    """Something that a preview names is not there: `what` is it, `names` are some of them."""

    def __init__(self, what: str, names: Sequence[str]) -> None:
        super().__init__(what, names)
        self.what = what
        self.names = names


@dataclass(frozen=True, slots=True)
class ReceiptChange:
    """A scheduled receipt that comes some days later (negative: earlier), or with another quantity."""

    name: Reference
    days_later: int = 0
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class TierChange:
    """A customer that is in a tier from now on."""

    customer: CustomerKey
    tier: str


@dataclass(frozen=True, slots=True)
class TriedRun:
    """A run of the re-decision over items (none: all that is waited for), with these strategies of tiers.

    Or a run by a variant, in its version in effect or another one: over what its segments name.
    """

    strategies: Mapping[str, Strategy]
    items: tuple[str, ...] = ()
    variant: tuple[str, int | None] | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What is tried."""

    drafts: tuple[Draft, ...] = ()
    routing: tuple[RoutingDraft, ...] = ()
    receipts: tuple[ReceiptChange, ...] = ()
    tiers: tuple[TierChange, ...] = ()
    closings: tuple[TriedClosing, ...] = ()
    service_rule: RuleDraft | None = None
    run: TriedRun | None = None


class PromiseHead(NamedTuple):
    """Whose promise it is."""

    source: str
    order_id: str
    customer_id: str | None


@dataclass(frozen=True, slots=True)
class Picture:
    """How promises stand, and what tiers may take: by (item, location, tier) today, and at most on any day."""

    lines: Mapping[LineKey, LineStanding]
    rooms: Mapping[tuple[str, str, str], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Preview:
    """What would change. `items`, `positions` and `promises` count what was looked at."""

    as_of: datetime
    items: int
    positions: int
    promises: int
    heads: Mapping[str, PromiseHead]
    shifts: Sequence[Shift]
    before: Picture
    after: Picture
    versions: Sequence[int]


class Rehearsal(Protocol):
    """Copies of what a change concerns, under one picture of all the rest."""

    @property
    def session(self) -> Session:
        """What handlers read and write: the copies."""
        ...

    @property
    def items(self) -> Sequence[str]:
        """The items that are concerned."""
        ...

    @property
    def positions(self) -> int:
        """How many positions these have, and those that are served together with them."""
        ...

    async def store(self, draft: Draft) -> int:
        """Write a document's next version, in effect at once; its version. Raises as `Planning.store_document`."""
        ...

    async def store_routing(self, draft: RoutingDraft) -> int:
        """Write a document of routing rules, in effect at once; its version. Raises as `RoutingDocuments.store`."""
        ...

    async def set_rule(self, draft: RuleDraft) -> int:
        """Let a rule say who is served first, from now on, and all who wait be asked anew; its version."""
        ...

    async def change_tiers(self, changes: Sequence[TierChange]) -> None:
        """Let customers be in these tiers, and those of their orders that wait be asked anew. Raises NotKnown."""
        ...

    async def run(self, tried: TriedRun) -> None:
        """Let strategies count, and those be asked anew who wait for the items. Raises NotKnown."""
        ...

    async def begin_run(self, variant_id: str, version: int | None) -> UUID:
        """Begin a run by a variant."""
        ...

    async def close(self, closings: Sequence[TriedClosing]) -> Sequence[OrderKey]:
        """Close locations; the orders of which something is promised from there. Raises NotKnown."""
        ...

    async def scheduled(self, names: Sequence[Reference]) -> Mapping[Reference, Scheduled]:
        """The scheduled receipts that are known."""
        ...

    async def marked(self) -> Sequence[MarkedItem]:
        """Items whose backorders are to be asked anew, in the order in which they are asked."""
        ...

    async def reviews(self) -> Sequence[tuple[PositionKey, RiskCause]]:
        """Positions whose deficits are to be looked at, in the order in which they are."""
        ...

    async def lines(self) -> tuple[Mapping[str, PromiseHead], Mapping[LineKey, LineStanding]]:
        """The promises concerned, as they stand."""
        ...

    async def flush(self) -> None:
        """Write what handlers left to be written."""
        ...


class Rehearsals(Protocol):
    """Makes rehearsals."""

    async def rehearse(self, changes: Changes, work: Callable[[Rehearsal], Awaitable[T]]) -> T:
        """Run work on copies of what the changes concern; nothing of it stays.

        Raises PreviewTooLarge, NotKnown, and Unavailable where another one runs or the database cannot be reached.
        """
        ...


async def preview(rehearsals: Rehearsals, engine: Engine, changes: Changes) -> Preview:
    """What the changes would cause. Raises PreviewTooLarge, NotKnown, PeriodsOverlap, VersionMoved, OtherKind."""

    async def work(rehearsal: Rehearsal) -> Preview:
        settling = _Settling(engine, rehearsal)
        await settling.settle()
        before = await settling.picture()
        versions = [await rehearsal.store(draft) for draft in changes.drafts]
        versions += [await rehearsal.store_routing(draft) for draft in changes.routing]
        if changes.service_rule is not None:
            versions.append(await rehearsal.set_rule(changes.service_rule))
        if changes.receipts:
            await settling.decide(await _schedule(rehearsal, changes.receipts))
        if changes.tiers:
            await rehearsal.change_tiers(changes.tiers)
        if changes.run is not None and changes.run.variant is not None:
            await settling.run(*changes.run.variant)
        elif changes.run is not None:
            await rehearsal.run(changes.run)
        if changes.closings:
            orders = await rehearsal.close(changes.closings)
            for start in range(0, len(orders), ORDERS_AT_ONCE):
                for place in changes.closings:
                    portion = orders[start : start + ORDERS_AT_ONCE]
                    await settling.decide([MoveAway(key, place.location_id, _ORIGIN) for key in portion])
        await settling.settle()
        after = await settling.picture()
        heads, _ = await rehearsal.lines()
        return Preview(
            as_of=await rehearsal.session.now(),
            items=len(rehearsal.items),
            positions=rehearsal.positions,
            promises=len(heads),
            heads=heads,
            shifts=shifts(before.lines, after.lines),
            before=before,
            after=after,
            versions=versions,
        )

    return await rehearsals.rehearse(changes, work)


@dataclass(frozen=True, slots=True)
class _Settling:
    """The engine on the copies."""

    engine: Engine
    rehearsal: Rehearsal

    async def decide(self, commands: Sequence[Any]) -> Sequence[Any]:
        outcomes = await self.engine.rehearse(self.rehearsal.session, commands)
        await self.rehearsal.flush()
        return outcomes

    async def run(self, variant_id: str, version: int | None) -> None:
        """Take a run by a variant to its end."""
        run_id = await self.rehearsal.begin_run(variant_id, version)
        for _ in range(ROUNDS_MAX):
            (outcome,) = await self.decide([ContinueRun(run_id, _ORIGIN, PORTION_LINES_MAX)])
            if outcome.finished:
                return
        raise PreviewTooLarge("rounds", ROUNDS_MAX)

    async def settle(self) -> None:
        """Serve who waits and review deficits until nothing is left, as the side tasks of the engine would."""
        for _ in range(ROUNDS_MAX):
            marked = await self.rehearsal.marked()
            if marked:
                items = tuple(item for item, _ in marked)
                await self.decide([ServeBackorders(items, _ORIGIN, PORTION_LINES_MAX, 1)])
                continue
            asked = await self.rehearsal.reviews()
            if not asked:
                return
            outcomes = await self.decide([ReviewDeficits(key, cause, _ORIGIN) for key, cause in asked])
            assert all(isinstance(each, Applied) for each in outcomes)  # noqa: S101 - a review answers nothing else
        raise PreviewTooLarge("rounds", ROUNDS_MAX)

    async def picture(self) -> Picture:
        _, lines = await self.rehearsal.lines()
        items = tuple(self.rehearsal.items)
        if not items:
            return Picture(lines, {})
        batch = await self.engine.load(self.rehearsal.session, [ReadAvailability(items, None, View(), _ORIGIN)])
        return Picture(lines, _rooms(batch))


def _rooms(batch: Batch) -> dict[tuple[str, str, str], tuple[int, int]]:
    """By position and tier what it may take today, and at most on any day before supply is assumed."""
    book = batch.book
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    for key in sorted(book.positions):
        item = book.items.get(key.item_id)
        if item is None:
            continue
        for tier in batch.configuration.tiers.values():
            room = tier_room(book, book.positions[key], item, tier)
            found[key.item_id, key.location_id, tier.tier] = (
                max(0, room.at(book.today)),
                max(0, *room.quantities),
            )
    return found


async def _schedule(rehearsal: Rehearsal, changes: Sequence[ReceiptChange]) -> list[ScheduleReceipt]:
    """The commands that tell of receipts as changed, at their next versions. Raises NotKnown."""
    known = await rehearsal.scheduled([change.name for change in changes])
    unknown = [change.name.reference for change in changes if change.name not in known]
    if unknown:
        raise NotKnown("receipt", unknown)
    configuration = await rehearsal.session.configuration()
    commands = []
    for change in changes:
        receipt = known[change.name]
        docking = configuration.dock_to_stock.get(change.name.position.location_id, NO_DOCKING)
        commands.append(
            ScheduleReceipt(
                change.name,
                receipt.version + 1,
                receipt.quantity if change.quantity is None else change.quantity,
                at_dock(docking.calendar, receipt.due, docking.days) + change.days_later,
                receipt.certainty,
                _ORIGIN,
            )
        )
    return commands
