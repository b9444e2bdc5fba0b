"""What changes by date alone lets those who wait be asked again, in bounded portions.

A protection lapses, a period begins or ends, a document comes into effect, a re-sized protection has a new day, an
assignment begins or ends, somebody has waited for so long that stock is set aside for him, or that ends. A due row has
the next such moment of an item, of all items (a quota that names none), or of a customer; days of setting aside have
rows of their own. Nothing is decided here: positions are marked, as by freed quantity, and the row moves to the next
moment. Decisions know what is in force from the time itself, whether this was late or not. Past-due receipts free
nothing: the start of a day has the deficits looked at. Nor does the date of a backorder policy: whoever waits already
keeps his place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.due import plan_due, store_due
from services.atp.application.ports import Session

TURN: Final = "turn"  # the kind of the due row of an item; the key is the item, or EVERY_ITEM
ASSIGNMENT: Final = "assignment"  # of a customer; the key is the registry's id
EVERY_ITEM: Final = ""  # no item's id: quotas that name no item
ITEMS_AT_ONCE_MAX: Final = 200  # of one portion: more would hold the locks for longer than a new order should wait
KEPT: Final = "turns"
THEN: Final = "turns_then"


@dataclass(frozen=True, slots=True)
class TurnItem:
    """A date of an item has come; `item_id` may be EVERY_ITEM, `after` is then the last item that was asked."""

    item_id: str
    origin: Origin
    after: str = ""
    remembered: Remembered | None = None
    lines: int = 1


@dataclass(frozen=True, slots=True)
class TurnCustomer:
    """A date of a customer has come; `after` is the last of the items awaited that was asked."""

    customer_id: str
    origin: Origin
    after: str = ""
    remembered: Remembered | None = None
    lines: int = 1


Turn = TurnItem | TurnCustomer


def turn_item(key: tuple[str, ...], origin: Origin) -> TurnItem:
    """The command for a due row."""
    return TurnItem(key[0], origin, "".join(key[1:]))


def turn_customer(key: tuple[str, ...], origin: Origin) -> TurnCustomer:
    """The command for a due row."""
    return TurnCustomer(key[0], origin, "".join(key[1:]))


@dataclass(frozen=True, slots=True)
class Portion:
    """The items that a command asks anew, and whether there are more."""

    items: Sequence[str]
    more: bool


class Turning(Handler[Turn]):
    """Decides `TurnItem` and `TurnCustomer`."""

    def needs(self, command: Turn, needs: Needs) -> None:
        """The item; the rest is found out."""
        if isinstance(command, TurnItem) and command.item_id != EVERY_ITEM:
            needs.freed_items[command.item_id] = None

    async def discover(self, session: Session, commands: Sequence[Turn], needs: Needs) -> None:
        """The items that are asked anew, and their positions."""
        portions = {command: await _portion(session, command) for command in commands}
        needs.kept[KEPT] = {**needs.kept.get(KEPT, {}), **portions}
        items = {item: None for portion in portions.values() for item in portion.items}
        needs.freed_items.update(items)
        if items:
            needs.positions.update(dict.fromkeys(await session.position_keys(list(items))))

    async def load(self, session: Session, batch: Batch, commands: Sequence[Turn]) -> None:
        """The next moment of each row, by what was written until now."""
        customers = [command.customer_id for command in commands if isinstance(command, TurnCustomer)]
        if customers:
            await session.backorders.outdate(customers)
            batch.waiting |= await session.positions.waiting(sorted(batch.waiting), batch.book.service.basis)
        moments: dict[Turn, datetime | None] = batch.kept.setdefault(THEN, {})
        for command in commands:
            kind, name = _row(command)
            await session.turns.lock(kind, name)
            find = session.turns.next_of_items if kind == TURN else session.turns.next_of_customers
            moments[command] = (await find([name], batch.now))[name]

    def decide(self, batch: Batch, command: Turn) -> Outcome:
        """Mark the positions of a portion; the last one moves the row to the next moment."""
        portion: Portion = batch.kept[KEPT][command]
        cause = "allocation_changed" if isinstance(command, TurnItem) else "tier_changed"
        if isinstance(command, TurnItem) and command.after and command.item_id != EVERY_ITEM:
            cause = "stock_freed"  # what is set aside for somebody begins or ends
        asked = dict.fromkeys(portion.items)
        for key in sorted(batch.book.positions):
            if key.item_id in asked:
                batch.free(key, cause)
        kind, name = _row(command)
        if command.after:
            plan_due(batch, kind, (name, command.after), None)
        if portion.more:
            plan_due(batch, kind, (name, portion.items[-1]), batch.now)
            if not command.after:
                plan_due(batch, kind, (name,), None)
        else:
            plan_due(batch, kind, (name,), batch.kept[THEN][command])
        return Applied("goes_on" if portion.more else "applied")

    async def store(self, session: Session, batch: Batch) -> None:
        """What is divided by date, and when it is looked again."""
        if batch.divided:
            await session.divide(batch.divided, batch.now)
        await store_due(session, batch)


def _row(command: Turn) -> tuple[str, str]:
    return (TURN, command.item_id) if isinstance(command, TurnItem) else (ASSIGNMENT, command.customer_id)


async def _portion(session: Session, command: Turn) -> Portion:
    if isinstance(command, TurnCustomer):
        awaited = [item for item in await session.turns.items_awaited(command.customer_id) if item > command.after]
    elif command.item_id == EVERY_ITEM:
        awaited = await session.turns.waiting_items(command.after, ITEMS_AT_ONCE_MAX + 1)
    else:
        awaited = [command.item_id]
    return Portion(awaited[:ITEMS_AT_ONCE_MAX], len(awaited) > ITEMS_AT_ONCE_MAX)
