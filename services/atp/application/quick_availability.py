"""Availability for pages that many people look at: in stock, restock date, earliest arrival, for pairs of SKU and zone.

Requests that wait for the database are answered together from one snapshot, read without a lock: under load a read is
shared, and a lone request never waits. Nothing is cached beyond that; the answer says the moment of its snapshot.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Origin, Outcome, Remembered
from services.atp.application.content import CustomerKey
from services.atp.application.documents import Document, iso
from services.atp.application.engine import Engine
from services.atp.application.read_availability import TierUnknown
from services.atp.domain.glance import Glance, glance, quantity_of
from services.atp.domain.model import Request, RequestLine, Tier
from services.atp.domain.validation_rules import Block

PAIRS_AT_ONCE_MAX: Final = 2_000  # of one snapshot; some 50 milliseconds of work
SNAPSHOTS_AT_ONCE_MAX: Final = 2  # one is read while another is worked on


class Pair(NamedTuple):
    """An item and a destination; `quantity` None is one pack."""

    item_id: str
    zone: str
    quantity: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """What one caller asks: for a customer, or for a tier by name, or (both None) for the default tier."""

    pairs: Sequence[Pair]
    channel: str
    customer: CustomerKey | None = None
    tier: str | None = None


@dataclass(frozen=True, slots=True)
class LookQuickly:
    """Questions that share a snapshot."""

    questions: Sequence[Question]
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


class QuickLook(Handler[LookQuickly]):
    """Loads what the questions need; nothing is decided."""

    def needs(self, command: LookQuickly, needs: Needs) -> None:
        """The customers, and the items at all locations that serve the zones."""
        for question in command.questions:
            if question.customer is not None:
                needs.customers[question.customer] = None
            for pair in question.pairs:
                needs.items[pair.item_id] = None
                needs.zones[pair.zone] = None

    def decide(self, batch: Batch, command: LookQuickly) -> Outcome:
        """It is only ever inquired."""
        raise NotImplementedError(type(command), batch.now)


class QuickReads:
    """Answers questions, those that wait together. Raises as the engine does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: list[tuple[Question, asyncio.Future[Document]]] = []
        self._readers: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Document:
        """The answer to a question. Raises TierUnknown."""
        answer: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if len(self._readers) < SNAPSHOTS_AT_ONCE_MAX:
            reader = asyncio.create_task(self._read(), name="quick availability")
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
        return await answer

    async def _read(self) -> None:
        while self._waiting:
            asked = self._take()
            command = LookQuickly([question for question, _ in asked], Origin("", ""))
            look = asyncio.create_task(self._engine.inquire(command, partial(_answers, command)), name="quick look")
            await asyncio.wait({look})
            error = look.exception()  # it is every waiting caller's own, and raised there
            found = look.result() if error is None else [error] * len(asked)
            for (_, answer), each in zip(asked, found, strict=True):
                if answer.done():
                    continue  # its caller has left
                if isinstance(each, BaseException):
                    answer.set_exception(each)
                else:
                    answer.set_result(each)

    def _take(self) -> list[tuple[Question, "asyncio.Future[Document]"]]:
        """The first of those that wait, as many as one snapshot bears."""
        pairs = taken = 0
        while taken < len(self._waiting) and (taken == 0 or pairs < PAIRS_AT_ONCE_MAX):
            pairs += len(self._waiting[taken][0].pairs)
            taken += 1
        asked, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return asked


Known = dict[tuple[str, str, Pair, tuple[Block, ...]], Document]


def _answers(command: LookQuickly, batch: Batch) -> list[Document | Exception]:
    known: Known = {}  # what is asked twice is looked at once
    found: list[Document | Exception] = []
    for question in command.questions:
        try:
            found.append(quick_answer(batch, question, known))
        except TierUnknown as error:
            found.append(error)
    return found


def quick_answer(batch: Batch, question: Question, known: Known) -> Document:
    """The document of an answer. Raises TierUnknown."""
    tier, blocks = _served(batch, question)
    items = []
    for pair in question.pairs:
        key = (tier.tier, question.channel, pair, blocks)
        if key not in known:
            own = batch.refined(tier, pair.zone, question.channel, [pair.item_id], question.customer)
            known[key] = _shown(batch, pair, own, question.channel, blocks)
        items.append(known[key])
    return {"as_of": batch.now, "tier": tier.tier, "items": items}


def _served(batch: Batch, question: Question) -> tuple[Tier, tuple[Block, ...]]:
    if question.customer is not None:
        served = batch.served_customer(question.customer, batch.now)
        return served.tier, served.blocks
    if question.tier is None:
        return batch.configuration.default_tier, ()
    tier = batch.configuration.tiers.get(question.tier)
    if tier is None:
        raise TierUnknown(question.tier)
    return tier, ()


def _shown(batch: Batch, pair: Pair, tier: Tier, channel: str, blocks: tuple[Block, ...]) -> Document:
    book = batch.book
    quantity = quantity_of(book.items.get(pair.item_id)) if pair.quantity is None else pair.quantity
    line = RequestLine("1", pair.item_id, quantity)
    request = Request("", "", tier, pair.zone, channel, book.today, ship_complete=False, lines=(line,), blocks=blocks)
    return _document(pair, quantity, glance(book, request))


def _document(pair: Pair, quantity: int, seen: Glance) -> Document:
    return {
        "sku": pair.item_id,
        "zone": pair.zone,
        "quantity": quantity,
        "outcome": seen.outcome,
        "in_stock": seen.in_stock,
        "restock_date": None if seen.restock_day is None else iso(seen.restock_day),
        "earliest_arrival": None if seen.earliest_arrival is None else iso(seen.earliest_arrival),
    }
