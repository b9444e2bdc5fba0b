"""Which rule of routing decides for a line: the most specific one that matches.

More conditions before fewer; of as many, the item's before the tier's and that before the zone's; then the order of
documents and of rules within them. So there is always one, whichever way the rules were written down.
"""

from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple, TypeVar

PICK_UP: Final = "pick_up"  # the carrier class of a customer who collects: no carrier, and no tier forbids it


class SourcingRule(NamedTuple):
    """The (location, rank) that may serve what matches; `in_turn`: a rank is tried where those before cannot."""

    reference: str
    version: int
    tier: str | None
    zone: str | None
    item_group: str | None
    locations: tuple[tuple[str, int], ...]
    in_turn: bool = False


class Attempt(NamedTuple):
    """Ways that are tried together; empty: any."""

    kinds: tuple[str, ...] = ()
    carrier_classes: tuple[str, ...] = ()

    def takes(self, kind: str, carrier_class: str) -> bool:
        """Whether a way is one of these; collecting is by no class."""
        by_class = not self.carrier_classes or carrier_class in self.carrier_classes or carrier_class == PICK_UP
        return by_class and (not self.kinds or kind in self.kinds)


class FulfilmentMode(NamedTuple):
    """The attempts for what matches, in their order."""

    reference: str
    version: int
    tier: str | None
    zone: str | None
    criticality: str | None
    attempts: tuple[Attempt, ...]


class Substitution(NamedTuple):
    """`substitute_quantity` of another item stands in for `quantity` of this one. `reference` is empty: the item's."""

    reference: str
    version: int
    item_id: str
    substitute_id: str
    tier: str | None = None
    zone: str | None = None
    quantity: int = 1
    substitute_quantity: int = 1


class RoutingRules(NamedTuple):
    """Rules in effect, in the order of their documents."""

    sourcing: tuple[SourcingRule, ...] = ()
    modes: tuple[FulfilmentMode, ...] = ()
    substitutions: tuple[Substitution, ...] = ()


class Alternative(NamedTuple):
    """Another item that a line could have: how much of it, when it would arrive, how much of the line it stands for.

    `rule` names the substitution; empty: the item itself names the other one.
    """

    item_id: str
    quantity: int
    arrival_day: int
    replaces: int = 0
    rule: str = ""


class RoutedBy(NamedTuple):
    """A rule that decided which ways a line saw."""

    kind: Literal["sourcing_rule", "fulfilment_mode"]
    reference: str
    version: int


NOTHING_RULED: Final = RoutingRules()
Rule = TypeVar("Rule", SourcingRule, FulfilmentMode, Substitution)
_Specific = tuple[int, bool, bool, bool]


def pick_up_key(location_id: str) -> str:
    """Where the ways of a store's customers who collect are, among the ways by zone; no zone has such a name."""
    return f"{PICK_UP}/{location_id}"


def sourcing_rule(rules: RoutingRules, tier: str, zone: str, groups: tuple[str, ...]) -> SourcingRule | None:
    """The rule that says which locations may serve an item of these groups; None: all may."""
    matching = (each for each in rules.sourcing if _is_for(each, tier, zone) and each.item_group in (None, *groups))
    return _most_specific(matching, lambda rule: rule.item_group)


def fulfilment_mode(rules: RoutingRules, tier: str, zone: str, criticality: str | None) -> FulfilmentMode | None:
    """The mode of an item of a criticality; None: every way is tried at once."""
    matching = (each for each in rules.modes if _is_for(each, tier, zone) and each.criticality in (None, criticality))
    return _most_specific(matching, lambda rule: rule.criticality)


def substitutions(rules: RoutingRules, tier: str, zone: str, item_id: str, own: Iterable[str]) -> list[Substitution]:
    """What may stand in for an item: by rules, in their order, then what the item itself names, one for one."""
    found: dict[str, list[Substitution]] = {}
    for each in rules.substitutions:
        if each.item_id == item_id and _is_for(each, tier, zone):
            found.setdefault(each.substitute_id, []).append(each)
    chosen = [_most_specific(same, lambda _: None) for same in found.values()]
    named = [Substitution("", 0, item_id, other) for other in own if other not in found]
    return [each for each in chosen if each is not None] + named


def _is_for(rule: Rule, tier: str, zone: str) -> bool:
    return rule.tier in (None, tier) and rule.zone in (None, zone)


def _most_specific(rules: Iterable[Rule], of_item: Callable[[Rule], str | None]) -> Rule | None:
    """The first of those that are the most specific."""
    best: Rule | None = None
    most: _Specific = (-1, False, False, False)
    for rule in rules:
        by_item, by_tier, by_zone = of_item(rule) is not None, rule.tier is not None, rule.zone is not None
        specific = (by_item + by_tier + by_zone, by_item, by_tier, by_zone)
        if specific > most:
            best, most = rule, specific
    return best
