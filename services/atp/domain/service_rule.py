"""The rule of who is served first, as values; `services.atp.domain.order_of_service` says what it means."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

ServicePlace = tuple[int, str, str, str, str]  # a `ServiceKey`


@dataclass(frozen=True, slots=True)
class Criterion:
    """One attribute that a rule looks at; `name` says which of an order's own numbers `order_attribute` is.

    `values` are points by name, for attributes that are names; `otherwise` for names that are not among them. `weight`
    counts in a score; `reverse` turns a sequence round. `at_most` bounds what an order's value counts for.
    """

    attribute: str
    weight: int = 1
    reverse: bool = False
    values: tuple[tuple[str, int], ...] = ()
    otherwise: int = 0
    at_most: int = 1_000_000
    name: str = ""


class SetAsideRule(NamedTuple):
    """From when on, and for how long, stock is set aside for a backorder that takes all that it needs or nothing.

    From `after_days` after the day of the order on (`tiers` say otherwise for some, ascending by name; None: only for
    those), on `lasts_days` days.
    """

    after_days: int | None
    lasts_days: int
    tiers: tuple[tuple[str, int], ...] = ()


class SetAside(NamedTuple):
    """What of a position is set aside for a line: `steps` are (from a day on, units more), ascending.

    `place` is that of the line in the order of service, by the rule of `basis`; of an order that ships complete, of its
    first line that is served, with the name of the first one that it has. It counts until and on `through`.
    """

    place: ServicePlace
    basis: int
    through: int
    steps: tuple[tuple[int, int], ...]

    @property
    def units(self) -> int:
        """Units in all."""
        return sum([quantity for _, quantity in self.steps])

    def is_for(self, place: ServicePlace) -> bool:
        """Whether it is for the line that has a place, or for any line of the order where it names none."""
        return self.place[2:4] == place[2:4] and place[4] in {"", self.place[4]}


@dataclass(frozen=True, slots=True)
class ServiceRule:
    """Who is served first; see `services.atp.domain.order_of_service`. Ageing: `points` in `days`, 0: none.

    `set_aside`: None: nothing is (`services.atp.domain.setting_aside`).

    `basis` goes up when keys by it are no longer those of before: a new version of the rule, a tier's other rank.
    """

    version: int = 0
    kind: Literal["sequence", "score"] = "sequence"
    criteria: tuple[Criterion, ...] = (Criterion("tier_rank"), Criterion("requested_date"), Criterion("age"))
    points: int = 0
    days: int = 1
    basis: int = 0
    set_aside: SetAsideRule | None = None

    @property
    def by_value(self) -> bool:
        """Whether it looks at what orders are worth."""
        return any(each.attribute == "order_value" for each in self.criteria)

    @property
    def by_criticality(self) -> bool:
        """Whether it looks at the items' criticality."""
        return any(each.attribute == "item_criticality" for each in self.criteria)


SERVED_BY_TIER: Final = ServiceRule()
