"""The book of a batch with a journal: every step that a decision may depend on is kept, so that it can be repeated.

`record` packs the book as it was and the steps; `services.atp.application.reproduce` unpacks and repeats them.
"""

import hashlib
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from services.atp.application.ports import DecisionRecord
from services.atp.domain import cut_over, promising, redecision
from services.atp.domain import release as releasing
from services.atp.domain.contending import Contender, Move, Place, Redecided
from services.atp.domain.model import (
    Book,
    Item,
    LineDecision,
    OpenBackorder,
    OrderDecision,
    Planned,
    Position,
    PositionKey,
    Request,
    UsageKey,
)

ENGINE_VERSION: Final = "5"  # goes up when the same input may be decided differently
Decision = OrderDecision | list[tuple[OpenBackorder, LineDecision]] | list[Move]
COMPRESSION_LEVEL: Final = 1  # records repeat themselves so much that more effort gains little


class Workbook:
    """Decides on one book, one after another, and remembers the steps."""

    def __init__(self, book: Book) -> None:
        self.book: Final = book
        self.decisions = 0
        self._positions_before = dict(book.positions)
        self.usage_before: Final = dict(book.usage)
        self._backlog_before = dict(book.backlog)
        self._steps: list[tuple[str, Any]] = []
        self._decided: list[Decision] = []

    def decide(self, request: Request) -> OrderDecision:
        """Promise a new order."""
        self._steps.append(("decide", request))
        self.decisions += 1
        decision = promising.decide(self.book, request)
        self._decided.append(decision)
        return decision

    def serve(self, backorders: Sequence[OpenBackorder]) -> list[tuple[OpenBackorder, LineDecision]]:
        """Offer what is free to backorders, in the order given."""
        self._steps.append(("serve", backorders))
        self.decisions += 1
        answers = redecision.serve(self.book, backorders)
        self._decided.append(answers)
        return answers

    def redecide(self, contenders: Sequence[Contender], through: Place | None = None) -> Redecided:
        """Decide anew what contenders have; see `services.atp.domain.redecision.redecide`.

        Recorded beside it is what they gave up: for whoever looks at the record without deciding again.
        """
        self.decisions += 1
        found = redecision.redecide(self.book, contenders, through)
        self._steps.append(("redecide", (contenders, through, _given_up(found.moves))))
        self._decided.append(found.moves)
        return found

    def take_over(self, order: cut_over.PromisedElsewhere) -> OrderDecision:
        """Put an order on the book as another system promised it."""
        self._steps.append(("cut_over", order))
        self.decisions += 1
        decision = cut_over.take_over(self.book, order)
        self._decided.append(decision)
        return decision

    def release(self, planned: Sequence[Planned]) -> None:
        """Give quantities back, each with its postings."""
        self._steps.append(("release", planned))
        releasing.release(self.book, planned)

    def ship(self, part: Planned, quantity: int, *, on_hand_change: int | None = None) -> None:
        """Let a promised quantity leave; see `services.atp.domain.release.ship`."""
        self._steps.append(("ship", (part, quantity, on_hand_change)))
        releasing.ship(self.book, part, quantity, on_hand_change=on_hand_change)

    def count(self, usage: UsageKey, quantity: int) -> None:
        """Count a quantity that is taken from no position."""
        self._steps.append(("count", (usage, quantity)))
        self.book.usage[usage] = self.book.usage.get(usage, 0) + quantity

    def put(self, position: Position) -> None:
        """Replace a position, or add one."""
        self._steps.append(("put", position))
        self.book.positions[position.key] = position

    def position_before(self, key: PositionKey) -> Position | None:
        """A position as it was before the batch; None if it did not exist."""
        return self._positions_before.get(key)

    def changed_positions(self) -> list[Position]:
        """Positions that are not as they were, in key order."""
        before = self._positions_before
        return [self.book.positions[key] for key in sorted(self.book.positions) if self._is_changed(key, before)]

    def _is_changed(self, key: PositionKey, before: dict[PositionKey, Position]) -> bool:
        return self.book.positions[key] is not before.get(key)

    def changed_usage(self) -> dict[UsageKey, int]:
        """Counters that are not as they were, in key order."""
        before = self.usage_before
        return {key: self.book.usage[key] for key in sorted(self.book.usage) if before.get(key) != self.book.usage[key]}

    def record(self, decision_id: UUID, at: datetime) -> DecisionRecord | None:
        """The input of the decisions, and the digest of what was decided; None if there were none."""
        if not self.decisions:
            return None
        encoded = orjson.dumps(self._input(), default=_plain)
        return DecisionRecord(
            decision_id=decision_id,
            decided_at=at,
            engine_version=ENGINE_VERSION,
            digest=hashlib.sha256(encoded).digest(),
            input=zlib.compress(encoded, COMPRESSION_LEVEL),
        )

    def _input(self) -> dict[str, Any]:
        book = self.book
        items: list[Item] = [book.items[item_id] for item_id in sorted(book.items)]
        return {
            "engine": ENGINE_VERSION,
            "today": book.today,
            "items": items,
            "positions": [self._positions_before[key] for key in sorted(self._positions_before)],
            "offers": {zone: book.offers[zone] for zone in sorted(book.offers)},
            "protections": [each for key in sorted(book.protections) for each in book.protections[key]],
            "quotas": book.quotas,
            "usage": [(*key, self.usage_before[key]) for key in sorted(self.usage_before)],
            "backlog": sorted(self._backlog_before.items()),
            "hierarchies": book.hierarchies,
            "regions": book.regions,
            "closed": sorted(book.closed.items()),
            "capacities": [each for location in sorted(book.capacities) for each in book.capacities[location]],
            "routing": book.routing,
            "service": book.service,
            "assumed_from": sorted(book.assumed_from.items()),
            "steps": self._steps,
            "decided": digest_of(self._decided),
        }


def digest_of(decisions: Sequence[Decision]) -> str:
    """The digest of the decisions of a batch, in hexadecimal; by it one decided again is known to be the same."""
    answers = [each if isinstance(each, OrderDecision) else [_answer(one) for one in each] for each in decisions]
    return hashlib.sha256(orjson.dumps(answers, default=_plain)).hexdigest()


def _given_up(moves: Sequence[Move]) -> list[Planned]:
    """What contenders of a run have no more of what they held."""
    pairs = [pair for move in moves for pair in zip(move.contender.held, move.kept, strict=True)]
    given = [releasing.divide(held.planned, kept.quantity)[1] for held, kept in pairs]
    return [part for part in given if part.quantity]


def _answer(one: tuple[OpenBackorder, LineDecision] | Move) -> tuple[object, ...]:
    if isinstance(one, Move):
        return (one.contender.promise_id, one.kept, one.taken, one.decisions, one.lost_to)
    backorder, line = one
    return (backorder.promise_id, line)


def _plain(value: object) -> object:
    """Named tuples as lists; everything else that orjson does not know is a mistake."""
    if isinstance(value, tuple):
        return tuple(value)
    raise TypeError(f"{type(value).__name__} has no place in a decision record")
