"""Who goes short at a position, kept true: after a supply cut, and at the start of a day that brings one about.

A transaction that leaves a position with more committed than there is asks for a review (`Batch.review`); the review
deals the supply out anew and stores what differs: deficits by part of a promise, each published as `promise.at_risk`.
Promises keep their dates; what the checking horizon has reached and nothing real replaced is looked for elsewhere
(`services.atp.application.replan_uncovered`). A review works in portions of `PORTION_PROMISES_MAX` promises, in the
lane of re-decision.

What is open at the position is read twice: without locks, to know which promises to lock, and again under the locks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final

from services.atp.application.batch import Again, Batch, Handler, Needs
from services.atp.application.commands import Applied, Origin, Outcome, Remembered
from services.atp.application.deficit_records import ANY_REQUEST, Look, OpenPart, PartKey, StoredDeficit
from services.atp.application.due import plan_due, store_due
from services.atp.application.ports import Configuration, Session
from services.atp.application.replan_uncovered import HORIZON
from services.atp.application.routing import assumed_from
from services.atp.domain.deficits import Deficit, Owed, peg
from services.atp.domain.made_to_order import assumed_there
from services.atp.domain.model import Item, PositionKey
from services.contracts import catalogue
from services.contracts.risks import PromiseAtRisk, RiskCause

PORTION_PROMISES_MAX: Final = 200  # promises locked at once; more would hold the locks for longer than others wait
RANK_OF_UNKNOWN_TIER: Final = 1_000_001  # behind all
LINES: Final = 20  # what a review counts for in a batch: most touch few promises
KEPT: Final = "deficits"
FINISHED: Final = "finished"
GOES_ON: Final = "goes_on"


@dataclass(frozen=True, slots=True)
class ReviewDeficits:
    """Deal out the supply of a position anew. `cause`: why it was asked for; `request`: see `AskedReview`."""

    key: PositionKey
    cause: RiskCause
    origin: Origin
    request: int = ANY_REQUEST
    remembered: Remembered | None = None
    lines: int = LINES


@dataclass(slots=True)
class Review:
    """What is stored, what should be, and which of the differences are written now."""

    after: Mapping[PartKey, StoredDeficit]
    before: Mapping[PartKey, StoredDeficit]
    parts: Mapping[PartKey, OpenPart]
    written: list[PartKey] = field(default_factory=list)
    finished: int | None = None  # the request

    def changed(self) -> list[PartKey]:
        """The parts whose deficit is not as stored, in the order of their promises."""
        both = {**self.before, **self.after}
        found = [name for name in both if _differ(self.after.get(name), self.before.get(name))]
        return sorted(found, key=lambda name: name.place)

    def portion(self) -> list[PartKey]:
        """The first of them, of `PORTION_PROMISES_MAX` promises at most."""
        changed = self.changed()
        promises = list(dict.fromkeys(name.promise_id for name in changed))[:PORTION_PROMISES_MAX]
        kept = dict.fromkeys(promises)
        return [name for name in changed if name.promise_id in kept]


class Reviewing(Handler[ReviewDeficits]):
    """Decides `ReviewDeficits`."""

    def needs(self, command: ReviewDeficits, needs: Needs) -> None:
        """The position and its item; the promises are found out."""
        needs.positions[command.key] = None
        needs.items[command.key.item_id] = None

    async def discover(self, session: Session, commands: Sequence[ReviewDeficits], needs: Needs) -> None:
        """The promises whose deficits will change."""
        configuration = await session.configuration()
        now = await session.now()
        items = await session.items(sorted({command.key.item_id for command in commands}))
        looks = await session.deficits.looks([command.key for command in commands], now.date().toordinal())
        for command in commands:
            look = looks.get(command.key)
            if look is None:
                continue
            review = _review(command, look, items.get(command.key.item_id), configuration, now)
            for name in review.portion():
                needs.orders[review.parts[name].order] = None

    async def load(self, session: Session, batch: Batch, commands: Sequence[ReviewDeficits]) -> None:
        """The same again, under locks."""
        reviews: dict[PositionKey, Review] = batch.kept.setdefault(KEPT, {})
        looks = await session.deficits.looks([command.key for command in commands], batch.book.today)
        for command in commands:
            look = looks.get(command.key)
            if look is None:
                continue
            item = batch.book.items.get(command.key.item_id)
            review = _review(command, look, item, batch.configuration, batch.now)
            if any(review.parts[name].order not in batch.orders for name in review.portion()):
                raise Again
            reviews[command.key] = review

    def decide(self, batch: Batch, command: ReviewDeficits) -> Outcome:
        """Publish what differs; the last portion takes the request for the review away."""
        review: Review | None = batch.kept[KEPT].get(command.key)
        if review is None:
            return Applied(FINISHED)
        review.written = review.portion()
        for name in review.written:
            self._publish(batch, command, review, name)
            if name in review.after and name not in review.before and review.parts[name].assumed:
                plan_due(batch, HORIZON, tuple(review.parts[name].order), batch.now)
        is_finished = len(review.written) == len(review.changed())
        review.finished = command.request if is_finished else None
        return Applied(FINISHED if is_finished else GOES_ON)

    async def store(self, session: Session, batch: Batch) -> None:
        """The deficits that differ, and which orders are looked at for it."""
        reviews: dict[PositionKey, Review] = batch.kept.pop(KEPT, {})
        for key in sorted(reviews):
            review = reviews[key]
            put = [review.after[name] for name in review.written if name in review.after]
            gone = [name for name in review.written if name not in review.after]
            await session.deficits.store(key, put, gone, finished=review.finished)
        await store_due(session, batch)

    def _publish(self, batch: Batch, command: ReviewDeficits, review: Review, name: PartKey) -> None:
        part, after = review.parts[name], review.after.get(name)
        order = batch.orders[part.order]
        if order.promise is None:
            return
        batch.count("promise_at_risk" if after else "promise_covered_again")
        shown = after or replace(review.before[name], quantity=0, covered_on=part.available_day)
        payload = PromiseAtRisk.model_validate(
            {
                "order": {"source": part.order.source, "order_id": part.order.order_id, "version": order.version},
                "promise_id": str(name.promise_id),
                "customer_id": part.customer_id,
                "line": name.line,
                "part": name.part,
                "sku": command.key.item_id,
                "location": command.key.location_id,
                "tier": part.tier,
                "promised": part.promised,
                "quantity": shown.quantity,
                "available_on": date.fromordinal(part.available_day),
                "arrival_date": date.fromordinal(part.arrival_day),
                "covered_on": None if shown.covered_on is None else date.fromordinal(shown.covered_on),
                "cause": shown.cause,
                "detected_at": batch.now,
            }
        )
        data = payload.model_dump_json().encode()
        revision = order.promise.revision
        batch.emit(catalogue.PROMISE_AT_RISK, part.order.order_id, revision, data, command.origin)


def _differ(after: StoredDeficit | None, before: StoredDeficit | None) -> bool:
    return before is not None if after is None else after.differs(before)


def _review(
    command: ReviewDeficits, look: Look, item: Item | None, configuration: Configuration, now: datetime
) -> Review:
    """What is stored and what should be. An item that is not known promises nothing, and has no policy: the default."""
    key = command.key
    today = now.date().toordinal()
    parts = {each.name: each for each in look.open}
    parts |= {name: each.part for name, each in look.stored.items() if name not in parts}
    owed: list[Owed[PartKey | str]] = [_owed(each, configuration) for each in look.open]
    owed += [Owed(name, (RANK_OF_UNKNOWN_TIER + 1, name), day, quantity) for name, day, quantity in look.transfers]
    after: dict[PartKey, StoredDeficit] = {}
    there = item or Item(key.item_id)
    starts = assumed_from(configuration.leads, (key,), today)
    if starts:
        there = assumed_there(there, starts[key.location_id] - today)
    found: list[Deficit[PartKey | str]] = peg(look.position, there, today, owed)
    for deficit in found:
        name = deficit.name
        if isinstance(name, PartKey):
            before = look.stored.get(name)
            begun: RiskCause = "horizon_reached" if parts[name].assumed else command.cause
            cause, since = (before.cause, before.since) if before else (begun, now)
            after[name] = StoredDeficit(parts[name], key, deficit.quantity, deficit.covered_on, cause, since)
    return Review(after, look.stored, parts)


def _owed(part: OpenPart, configuration: Configuration) -> Owed[PartKey | str]:
    tier = configuration.tiers.get(part.tier)
    if tier is None:
        same = part.tier == configuration.default_tier.tier
        rank = configuration.default_tier.priority_rank if same else RANK_OF_UNKNOWN_TIER
    else:
        rank = tier.priority_rank
    place = (rank, part.requested, part.ordered_at, *part.order, part.name.line, part.available_day, part.name.part)
    return Owed(part.name, place, part.available_day, part.open)
