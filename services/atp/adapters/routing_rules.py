"""Routing rules as decisions read them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from services.atp.application.routing import EffectiveRules, RoutingKind
from services.atp.domain.routing_rules import Attempt, FulfilmentMode, RoutingRules, SourcingRule, Substitution
from services.chassis.business_time import business_now
from services.chassis.database import Connection

_IN_EFFECT: Final = """
SELECT document_id, version, kind, effective_from, effective_to, body FROM routing_document
WHERE rules > 0 AND (effective_to IS NULL OR effective_to > greatest(effective_from, $1))
ORDER BY document_id, version
"""


async def read_rules(connection: Connection) -> tuple[EffectiveRules, ...]:
    """The rules in effect now or later, by document."""
    rows = await connection.fetch(_IN_EFFECT, await business_now(connection))
    return tuple(
        EffectiveRules(
            _rules(row["kind"], row["document_id"], row["version"], orjson.loads(row["body"])),
            row["effective_from"],
            row["effective_to"],
        )
        for row in rows
    )


def _rules(kind: RoutingKind, document: str, version: int, rules: Sequence[Mapping[str, Any]]) -> RoutingRules:
    heads = [(f"{document}/{each['rule']}", version) for each in rules]
    named = zip(heads, rules, strict=True)
    match kind:
        case "sourcing_rules":
            return RoutingRules(sourcing=tuple(_sourcing(head, each) for head, each in named))
        case "fulfilment_modes":
            return RoutingRules(modes=tuple(_mode(head, each) for head, each in named))
        case "substitutions":
            return RoutingRules(substitutions=tuple(_substitution(head, each) for head, each in named))


def _sourcing(head: tuple[str, int], rule: Mapping[str, Any]) -> SourcingRule:
    locations = tuple((each["location"], each["rank"]) for each in rule["locations"])
    return SourcingRule(*head, rule["tier"], rule["zone"], rule["item_group"], locations, rule["in_turn"])


def _mode(head: tuple[str, int], rule: Mapping[str, Any]) -> FulfilmentMode:
    attempts = tuple(Attempt(tuple(each["kinds"]), tuple(each["carrier_classes"])) for each in rule["attempts"])
    return FulfilmentMode(*head, rule["tier"], rule["zone"], rule["criticality"], attempts)


def _substitution(head: tuple[str, int], rule: Mapping[str, Any]) -> Substitution:
    ratio = (rule["quantity"], rule["substitute_quantity"])
    return Substitution(*head, rule["sku"], rule["substitute"], rule["tier"], rule["zone"], *ratio)
