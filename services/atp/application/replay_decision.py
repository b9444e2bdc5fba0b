"""Replaying a stored decision: decided again from its record, and held against all that was stored of it.

Four things have to be equal, byte for byte or row for row:

- the record itself and the digest that was stored beside it;
- the decisions of the whole batch and the digest of them in the record (`Workbook.record`);
- the ledger: every quantity that the decision took, with its line, place, service and days;
- the answer, where the decision was the first one of an order: the stored document with the decided part replaced by
  what was decided again is the stored document.

A record says which engine decided it. Another version may decide otherwise, and then says so.
"""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import orjson

from services.atp.application.content import OrderKey
from services.atp.application.documents import dump, load, promised_line
from services.atp.application.reproduce import reproduce
from services.atp.application.workbook import Decision, digest_of
from services.atp.domain.contending import Move
from services.atp.domain.model import OrderDecision, Planned

DECIDING: Final = (
    "decide",
    "serve",
    "redecide",
    "cut_over",
)  # the steps of a record that are decisions; they are counted from 0


class DecisionName(NamedTuple):
    """A decision: the batch that made it, and its place there, counted from 0; None: all decisions of the batch."""

    batch: UUID
    place: int | None = None


class Taken(NamedTuple):
    """A quantity in the ledger, or one that was decided again; what never changes of it."""

    line: str
    item_id: str
    location_id: str
    service: str
    quantity: int
    available_day: int
    ship_day: int
    arrival_day: int
    assumed: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    """The record of a batch, as stored, and what the ledger says that each of its decisions took."""

    batch: UUID
    decided_at: datetime
    engine_version: str
    digest: bytes
    input: bytes
    taken: dict[int, list[Taken]]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One decision decided again. `differences` says what is not as stored, in a sentence each."""

    batch: UUID
    index: int
    kind: str
    orders: tuple[OrderKey, ...]
    decided_at: datetime
    engine_version: str
    quantities: int
    document_bytes: int | None
    differences: tuple[str, ...]


class DecisionReader(Protocol):
    """What is stored of decisions."""

    async def names(self, identifier: UUID) -> Sequence[DecisionName]:
        """The decisions that an id means: of a batch, or all that made a promise; none: it is unknown."""
        ...

    async def record(self, batch: UUID) -> Recorded | None:
        """The record of a batch; None: there is none, or it is archived."""
        ...

    async def first_answer(self, key: OrderKey) -> bytes | None:
        """The document of an order's first revision."""
        ...


class _Again(NamedTuple):
    """A decision of a batch, decided again from its step."""

    place: int
    kind: str
    step: Any
    decision: Decision


async def replay(reader: DecisionReader, name: DecisionName) -> list[Replayed] | None:
    """Decide again what a name means, in the order of the batch; None: its record is not there."""
    recorded = await reader.record(name.batch)
    if recorded is None:
        return None
    encoded = zlib.decompress(recorded.input)
    record: dict[str, Any] = orjson.loads(encoded)
    steps = [(kind, step) for kind, step in record["steps"] if kind in DECIDING]
    decisions = reproduce(recorded.input)
    common = _differences_of_record(recorded, encoded, record, decisions)
    found = []
    for index, ((kind, step), decision) in enumerate(zip(steps, decisions, strict=True)):
        if name.place in (None, index):
            found.append(await _compare(reader, recorded, _Again(index, kind, step, decision), common))
    return found


def _differences_of_record(
    recorded: Recorded, encoded: bytes, record: dict[str, Any], decisions: Sequence[Decision]
) -> list[str]:
    found = []
    if hashlib.sha256(encoded).digest() != recorded.digest:
        found.append("the record is not the one that its digest was taken of")
    decided = record.get("decided")  # records of the first engine had none
    if decided is not None and decided != digest_of(decisions):
        found.append("the decisions of the batch are not those that its record has the digest of")
    return found


async def _compare(
    reader: DecisionReader,
    recorded: Recorded,
    again: _Again,
    common: Sequence[str],
) -> Replayed:
    index, kind, what, decision = again
    differences = list(common)
    taken, stored = sorted(_taken_by(decision)), sorted(recorded.taken.get(index, []))
    differences += [f"decided again, and not in the ledger: {_told(each)}" for each in _beyond(taken, stored)]
    differences += [f"in the ledger, and not decided again: {_told(each)}" for each in _beyond(stored, taken)]
    document: bytes | None = None
    if isinstance(decision, OrderDecision):
        request = what["request"] if kind == "cut_over" else what
        orders: tuple[OrderKey, ...] = (OrderKey(request["source"], request["order_id"]),)
        document = await _first_answer_of(reader, orders[0], f"{recorded.batch}.{index}")
        if document is not None and _answer(document, decision) != document:
            differences.append("the answer is not the stored document, byte for byte")
    else:
        requests = [each["request"] for each in (what[0] if kind == "redecide" else what)]
        orders = tuple(dict.fromkeys(OrderKey(each["source"], each["order_id"]) for each in requests))
    return Replayed(
        recorded.batch,
        index,
        kind,
        orders,
        recorded.decided_at,
        recorded.engine_version,
        len(stored),
        None if document is None else len(document),
        tuple(differences),
    )


async def _first_answer_of(reader: DecisionReader, key: OrderKey, reference: str) -> bytes | None:
    """The order's first answer, if this decision made it."""
    document = await reader.first_answer(key)
    return document if document is not None and load(document)["decision_id"] == reference else None


def _answer(document: bytes, decision: OrderDecision) -> bytes:
    """The stored answer with its decided part decided again; its routing is told, not decided."""
    stored = load(document)
    told = {line["line"]: [part.get("routing") for part in line["schedule"]] for line in stored["lines"]}
    lines = [
        promised_line(line, (*told.get(line.line, ()), *[None] * len(line.planned))[: len(line.planned)])
        for line in decision.lines
    ]
    return dump(stored | {"lines": lines, "cost_minor": decision.cost_minor})


def _taken_by(decision: Decision) -> list[Taken]:
    return [
        Taken(
            line,
            part.key.item_id,
            part.key.location_id,
            part.service,
            part.quantity,
            part.available_day,
            part.ship_day,
            part.arrival_day,
            part.assumed,
        )
        for line, part in parts_of(decision)
    ]


def parts_of(decision: Decision) -> list[tuple[str, Planned]]:
    """What a decision took, with its lines."""
    if isinstance(decision, OrderDecision):
        return [(line.line, part) for line in decision.lines for part in line.planned]
    found: list[tuple[str, Planned]] = []
    for each in decision:
        if isinstance(each, Move):
            found += each.taken
        else:
            found += [(each[1].line, part) for part in each[1].planned]
    return found


def _beyond(these: Sequence[Taken], those: Sequence[Taken]) -> list[Taken]:
    """What is in these more often than in those."""
    rest = list(those)
    found = []
    for each in these:
        if each in rest:
            rest.remove(each)
        else:
            found.append(each)
    return found


def _told(taken: Taken) -> str:
    return f"line {taken.line}, {taken.quantity} of {taken.item_id} at {taken.location_id} on day {taken.available_day}"
