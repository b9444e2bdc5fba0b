"""What an order leaves to be looked up: its zone by country and postcode, and what a larger unit is in base units.

Looked up once, when the order is decided: what is kept, decided again and published has the zone and base units, not
the country, the postcode and the unit. The order's fingerprint is of what it asked, so that the same order sent again
is known when rules and units have changed since.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from services.atp.application.batch import Batch, Needs
from services.atp.application.content import Content, ContentLine
from services.atp.application.ports import Session
from services.atp.domain.units import BASE_UNITS_MAX, factor_of

KEPT: Final = "resolving"
EVERYWHERE: Final = "*"  # where no rule matches: the zone of lanes that lead everywhere


def need_zone(content: Content, needs: Needs) -> None:
    """Need the order's zone, if it names one."""
    if content.country is None:
        needs.zones.update(dict.fromkeys(content.ways))


async def find_zones(session: Session, contents: Iterable[Content], needs: Needs) -> None:
    """Find the zones of orders that name a country; nothing is read if none does."""
    asked = [content for content in contents if content.country is not None]
    if not asked:
        return
    zone_map = (await session.configuration()).zone_map
    found: dict[tuple[str, str | None], str] = needs.kept.setdefault(KEPT, {})
    for content in asked:
        rule = zone_map.find(content.country or "", content.postcode)
        zone = EVERYWHERE if rule is None else rule.zone
        found[content.country or "", content.postcode] = zone
        needs.zones.update(dict.fromkeys(replace(content, zone=zone).ways))


def resolved(batch: Batch, content: Content) -> Content:
    """The order with its zone and in base units; a unit that its item does not have, or too many of, stays."""
    if content.country is not None:
        zone = batch.kept[KEPT][content.country, content.postcode]
        content = replace(content, zone=zone, country=None, postcode=None)
    if any(line.unit is not None for line in content.lines):
        content = replace(content, lines=tuple(_in_base_units(batch, line) for line in content.lines))
    return content


def _in_base_units(batch: Batch, line: ContentLine) -> ContentLine:
    item = batch.book.items.get(line.item_id)
    factor = None if item is None or line.unit is None else factor_of(item, line.unit)
    if factor is None or line.quantity * factor > BASE_UNITS_MAX:
        return line
    return replace(line, quantity=line.quantity * factor, minimum_quantity=line.minimum_quantity * factor, unit=None)
