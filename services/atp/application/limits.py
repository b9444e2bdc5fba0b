"""Which quotas and hierarchies a batch has to do with: what to lock before time is known, and what counts then."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from services.atp.application.content import CustomerKey
from services.atp.application.customers import Customer
from services.atp.application.ports import Configuration, EffectiveHierarchy, EffectiveQuota
from services.atp.domain.allocation import usage_of
from services.atp.domain.ceilings import node_key
from services.atp.domain.model import Day, Hierarchy, Item, Node, Protection, Quota, UsageKey
from services.atp.domain.protected_supply import asked_key, by_gross_supply, shipped_key


def counters_of(protection: Protection, today: Day) -> tuple[UsageKey, ...]:
    """The counters of a protection: consumed, and what left and what was taken today as far as it depends on them."""
    shipped = (shipped_key(protection),) if by_gross_supply(protection) else ()
    asked = () if protection.expected is None else (asked_key(protection, today),)
    return (usage_of(protection), *shipped, *asked)


@dataclass(frozen=True, slots=True)
class Limits:
    """The quotas and hierarchies that may concern these items, customers and zones."""

    configuration: Configuration
    items: Mapping[str, Item]
    customers: Mapping[CustomerKey, Customer]
    zones: Mapping[str, None]

    def counters(self) -> dict[UsageKey, None]:
        """The counters that decisions may change."""
        counters = {usage_of(each.quota): None for each in self.configuration.quotas if self._concerns(each.quota)}
        for each in self.configuration.hierarchies:
            tree = each.hierarchy
            if tree.item_id in self.items:
                nodes = [node for node in tree.nodes if self._may_give(tree, node)]
                counters |= {node_key(tree, node, start): None for node in nodes for start, _ in tree.periods}
        return counters

    def quotas(self, now: datetime) -> tuple[Quota, ...]:
        """Those in effect, and those that will be."""
        return tuple(
            each.quota if each.effective_from <= now else replace(each.quota, upcoming=True)
            for each in self.configuration.quotas
            if self._concerns(each.quota) and _is_not_over(each, now)
        )

    def hierarchies(self, now: datetime) -> tuple[Hierarchy, ...]:
        """Those in effect, and those that will be."""
        return tuple(
            each.hierarchy if each.effective_from <= now else replace(each.hierarchy, upcoming=True)
            for each in self.configuration.hierarchies
            if each.hierarchy.item_id in self.items and _is_not_over(each, now)
        )

    def regions(self) -> dict[str, str]:
        """The regions of the zones."""
        known = self.configuration.regions
        return {zone: known[zone] for zone in self.zones if zone in known} if known else {}

    def _concerns(self, quota: Quota) -> bool:
        if quota.item_id is not None and quota.item_id not in self.items:
            return False
        if quota.item_group is not None and not any(quota.item_group in item.groups for item in self.items.values()):
            return False
        return bool(self.items) and (quota.customer_id is None or self._knows(quota.customer_id))

    def _may_give(self, tree: Hierarchy, node: Node) -> bool:
        """All nodes but those of other customers, unless they lend."""
        return node.lends or node.attribute != "customer" or node.name == tree.pool or self._knows(node.value)

    def _knows(self, customer_id: str) -> bool:
        return any(customer.customer_id == customer_id for customer in self.customers.values())


def _is_not_over(each: EffectiveQuota | EffectiveHierarchy, now: datetime) -> bool:
    return each.effective_to is None or now < each.effective_to
