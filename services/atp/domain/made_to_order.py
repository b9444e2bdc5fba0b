"""Locations whose supply is assumed from a lead time on: goods made to order, or sent by a vendor without a limit.

Such a location has no checking horizon of its items' own: H is today and so many working days of the location. A
promise from H on brings an assumed receipt of its quantity, which stands: it is what the promise has ordered there, so
it stays supply when H has passed it, until it ships or is given back. What a source tells of stock and receipts is
there besides it, for days before H. Goods that leave without having been received take nothing from that stock.
"""

from dataclasses import replace

from services.atp.domain.model import Book, Item


def item_at(book: Book, location_id: str, item: Item) -> Item:
    """An item as its supply is at a location."""
    start = book.assumed_from.get(location_id)
    return item if start is None else assumed_there(item, start - book.today)


def assumed_there(item: Item, days: int) -> Item:
    """An item of which supply is assumed from so many days after today on, and stands."""
    return replace(item, checking_horizon_days=days, supply_stands=True)
