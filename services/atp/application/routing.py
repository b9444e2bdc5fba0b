"""Routing rules as planners and `catalog.v1` set them: documents with versions, and what of them a batch needs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol

from services.atp.domain.model import Calendar, Day, Item, PositionKey
from services.atp.domain.routing_rules import NOTHING_RULED, RoutingRules
from services.atp.domain.shipping_days import after_working_days

RoutingKind = Literal["sourcing_rules", "fulfilment_modes", "substitutions"]
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EffectiveRules:
    """Routing rules of a document while it is in effect: from (inclusive) to (exclusive, None = open)."""

    rules: RoutingRules
    effective_from: datetime
    effective_to: datetime | None


class Lead(NamedTuple):
    """So many working days of a location: until supply is assumed, or from the dock to the stock."""

    days: int
    calendar: Calendar | None


@dataclass(frozen=True, slots=True)
class RoutingDraft:
    """A version of a document as it is stored.

    `version`: that of its source, stored only if it is the highest; None: the next one. `base` is the version that it
    was made from (0: there was none; None: whichever is the newest). `effective_from` None: at once.
    """

    kind: RoutingKind
    document_id: str
    effective_from: datetime | None
    author: str
    body: bytes
    rules: int
    version: int | None = None
    base: int | None = None


@dataclass(frozen=True, slots=True)
class NamedInRules:
    """Names that rules refer to."""

    tiers: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    items: tuple[str, ...] = ()


NO_DOCKING: Final = Lead(0, None)


class TooManyRules(Exception):  # noqa: N818 - says what is wrong
    """More rules would be in effect together than decisions can look through."""


class RoutingDocuments(Protocol):
    """Keeps routing rules; each method is one transaction."""

    async def store(self, draft: RoutingDraft) -> int | None:
        """Write a version, and who did; its number, None if a higher one is stored.

        Raises VersionMoved, OtherKind, TooManyRules; see `services.atp.application.planning`.
        """
        ...

    async def document(
        self, kind: RoutingKind, document_id: str, version: int | None, at: datetime | None
    ) -> Values | None:
        """A version of a document, by default the newest, or the one in effect at a time."""
        ...

    async def versions(self, kind: RoutingKind, document_id: str, before: int | None, limit: int) -> list[Values]:
        """The versions of a document before one, the newest first."""
        ...

    async def documents(self, kind: RoutingKind, after: str, limit: int) -> list[Values]:
        """The newest version of each document after an id, without its rules."""
        ...

    async def unknown(self, names: NamedInRules) -> NamedInRules:
        """Those of the names that nobody knows."""
        ...


def in_stock(docking: Mapping[str, Lead], location_id: str, due: Day) -> Day:
    """From which day on goods count that are due at the dock of a location on a day."""
    lead = docking.get(location_id)
    return due if lead is None else after_working_days(lead.calendar, due, lead.days)


def assumed_from(leads: Mapping[str, Lead], positions: Iterable[PositionKey], today: Day) -> dict[str, Day]:
    """The locations of positions whose supply is assumed, each with the day from which it is."""
    locations = sorted({key.location_id for key in positions} & leads.keys())
    return {name: after_working_days(leads[name].calendar, today, leads[name].days) for name in locations}


def rules_in_effect(
    documents: Sequence[EffectiveRules], zones: Collection[str], items: Mapping[str, Item], now: datetime
) -> RoutingRules:
    """The rules that may decide for these zones and items at a time, in the order of their documents."""
    current = [each.rules for each in documents if is_in_effect(each, now)]
    if not current:
        return NOTHING_RULED
    groups = {group for item in items.values() for group in item.groups}
    return RoutingRules(
        tuple(
            rule
            for rules in current
            for rule in rules.sourcing
            if (rule.zone is None or rule.zone in zones) and (rule.item_group is None or rule.item_group in groups)
        ),
        tuple(rule for rules in current for rule in rules.modes if rule.zone is None or rule.zone in zones),
        tuple(rule for rules in current for rule in rules.substitutions if rule.item_id in items),
    )


def substitutes_by_rule(documents: Sequence[EffectiveRules], items: Mapping[str, Item]) -> dict[str, None]:
    """The items that rules, in effect or not, name for these items."""
    return {
        rule.substitute_id: None
        for each in documents
        for rule in each.rules.substitutions
        if rule.item_id in items and rule.substitute_id not in items
    }


def is_in_effect(each: EffectiveRules, now: datetime) -> bool:
    """Whether a document's version counts at a time."""
    return each.effective_from <= now and (each.effective_to is None or now < each.effective_to)
