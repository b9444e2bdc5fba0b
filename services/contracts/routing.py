"""Routing rules on `catalog.v1` and over HTTP: who may be served from where, how, and what may stand in for what.

Each document is replaced whole by its next version, from its effective date on; all documents of a kind count together.
Of the rules that match a line the most specific decides: the one with more conditions; of two with as many, the one
that names the item's group (or criticality) before one that names the tier, and that before one that names the zone.
A null condition matches everything. An empty document withdraws all of its rules.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from services.contracts.network import RANK_MAX, LocationKind
from services.contracts.payload import Code, Identifier, Moment, Note, Payload, Version, broken_rule

RULES_MAX: Final = 1_000  # of one document; more are several documents
LOCATIONS_MAX: Final = 200  # of one rule: each is looked at for every line that it decides
ATTEMPTS_MAX: Final = 10  # of one mode: each may be a search of its own
RATIO_MAX: Final = 1_000_000  # base units; as large as a unit of an item may be


class RankedLocation(Payload):
    """A location that may serve; of plans that are equal otherwise the one from the lower rank is taken."""

    location: Code
    rank: Annotated[int, Field(strict=True, ge=1, le=RANK_MAX)] = 1


class SourcingRule(Payload):
    """The locations that may serve what matches, instead of all that have a lane to the zone.

    `in_turn`: a rank is tried only where those before it cannot serve a line whole and in time.
    """

    rule: Code
    tier: Code | None = None
    zone: Code | None = None
    item_group: Code | None = None
    locations: Annotated[tuple[RankedLocation, ...], Field(min_length=1, max_length=LOCATIONS_MAX)]
    in_turn: bool = False

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [each.location for each in self.locations]
        if len(dict.fromkeys(names)) < len(names):
            raise broken_rule("a location is named once in a rule")
        return self


class Attempt(Payload):
    """Ways that are tried together: from locations of these kinds, by these carrier classes (empty: any)."""

    kinds: tuple[LocationKind, ...] = ()
    carrier_classes: Annotated[tuple[Code, ...], Field(max_length=LOCATIONS_MAX)] = ()


class FulfilmentMode(Payload):
    """In which order kinds of sources and carrier classes are tried for what matches.

    An attempt is made only where those before it cannot serve a line whole and in time, and then together with them.
    What no attempt names is not used.
    """

    rule: Code
    tier: Code | None = None
    zone: Code | None = None
    criticality: Literal["vital", "essential", "desirable"] | None = None
    attempts: Annotated[tuple[Attempt, ...], Field(min_length=1, max_length=ATTEMPTS_MAX)]


class Substitution(Payload):
    """`substitute_quantity` of another item may stand in for `quantity` of this one; not the other way round."""

    rule: Code
    sku: Identifier
    substitute: Identifier
    tier: Code | None = None
    zone: Code | None = None
    quantity: Annotated[int, Field(strict=True, ge=1, le=RATIO_MAX)] = 1
    substitute_quantity: Annotated[int, Field(strict=True, ge=1, le=RATIO_MAX)] = 1

    @model_validator(mode="after")
    def _other(self) -> Self:
        if self.sku == self.substitute:
            raise broken_rule("an item is no substitute of itself")
        return self


class RoutingDocument(Payload):
    """What documents of routing rules have in common. Without `effective_from` they are in effect at once."""

    effective_from: Moment | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its rules."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if len(dict.fromkeys(self.names)) < len(self.names):
            raise broken_rule("two rules of a document have the same name")
        return self


class SourcingRules(RoutingDocument):
    """Which locations may serve."""

    rules: Annotated[tuple[SourcingRule, ...], Field(max_length=RULES_MAX)]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its rules."""
        return tuple(each.rule for each in self.rules)


class FulfilmentModes(RoutingDocument):
    """In which order kinds of sources and carrier classes are tried."""

    rules: Annotated[tuple[FulfilmentMode, ...], Field(max_length=RULES_MAX)]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its rules."""
        return tuple(each.rule for each in self.rules)


class Substitutions(RoutingDocument):
    """What may stand in for what."""

    rules: Annotated[tuple[Substitution, ...], Field(max_length=RULES_MAX)]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its rules."""
        return tuple(each.rule for each in self.rules)


class CatalogSourcingRules(SourcingRules):
    """`catalog.sourcing_rules.v1`: a document of sourcing rules at a version of its source; the highest counts."""

    document: Code
    version: Version
    author: Note = ""


class CatalogFulfilmentModes(FulfilmentModes):
    """`catalog.fulfilment_modes.v1`: a document of fulfilment modes at a version; the highest counts."""

    document: Code
    version: Version
    author: Note = ""


class CatalogSubstitutions(Substitutions):
    """`catalog.substitutions.v1`: a document of substitutions at a version; the highest counts."""

    document: Code
    version: Version
    author: Note = ""


RoutingEntry = CatalogSourcingRules | CatalogFulfilmentModes | CatalogSubstitutions
