"""The time-phased picture against an auditor that counts every day by itself; pages that together are the whole."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.atp.application.batch import Batch
from services.atp.application.commands import Origin
from services.atp.application.documents import iso
from services.atp.application.ports import Configuration
from services.atp.application.read_availability import Place, ReadAvailability, View, availability_of_many
from services.atp.application.workbook import Workbook
from services.atp.domain.model import Book
from tests.support import promise_worlds as worlds
from tests.support.promise_auditor import Auditor

TIERS = {tier.tier: tier for tier in worlds.TIERS}


def _batch(book: Book) -> Batch:
    """A batch that only reads."""
    configuration = Configuration(1, TIERS, worlds.TIERS[-1], book.offers, (), protections=True)
    now = datetime.fromordinal(book.today).replace(tzinfo=UTC)
    return Batch(configuration, now, Workbook(book), UUID(int=1), "GBP", {}, {}, {}, {})


def _read(book: Book, view: View, after: Place | None = None, limit: int = 100) -> dict[str, Any]:
    command = ReadAvailability(("I1", "ghost"), None, view, Origin("", ""), after, limit)
    return availability_of_many(_batch(book), command)


@given(worlds.books(waiting=True, limited=False))
def test_every_day_is_what_an_auditor_counts_for_every_tier(book: Book) -> None:
    view = View(by_tier=True, bucket="day", first=book.today, last=book.today + worlds.SPAN_DAYS)
    found = _read(book, view)["items"][0]["locations"]
    auditor, item = Auditor(book), book.items["I1"]
    for key, location in zip(sorted(book.positions), found, strict=True):
        for day, row in enumerate(location["days"], start=book.today):
            assert row["first_day"] == row["last_day"] == iso(day)
            if day >= auditor.end(item):
                assert row["atp"] is None
                continue
            assert row["available"] == row["supply"] - row["committed"] == auditor.level(key, item, day)
            for share in row["tiers"]:
                room = auditor.room(key, item, TIERS[share["tier"]], day)
                assert share["confirmable"] == room
                assert share["restricted"] == max(0, row["atp"] - room)


@given(worlds.books(limited=False), st.sampled_from(sorted(TIERS)))
def test_rows_by_change_and_by_week_say_what_the_days_say(book: Book, tier: str) -> None:
    last = book.today + worlds.SPAN_DAYS
    by_day = _read(book, View(tier, bucket="day", first=book.today, last=last))["items"][0]["locations"]
    values = [{row["last_day"]: row for row in location["days"]} for location in by_day]
    for bucket in ("change", "week"):
        shown = _read(book, View(tier, bucket=bucket, first=book.today, last=last))["items"][0]["locations"]
        for location, days in zip(shown, values, strict=True):
            rows = location["days"]
            assert (rows[0]["first_day"], rows[-1]["last_day"]) == (iso(book.today), iso(last))
            for row in rows:
                assert {**days[row["last_day"]], "first_day": row["first_day"]} == row


@given(worlds.books(locations=3))
def test_pages_are_together_the_whole_and_an_unknown_item_is_named(book: Book) -> None:
    whole = _read(book, View())
    assert [(each["sku"], each["known"]) for each in whole["items"]] == [("I1", True), ("ghost", False)]
    assert whole["next"] is None
    paged: list[str] = []
    after: Place | None = None
    while True:
        page = _read(book, View(), after, limit=1)
        paged += [location["location"] for each in page["items"] for location in each["locations"]]
        if page["next"] is None:
            break
        item, _, location = page["next"].partition(":")
        after = Place(int(item), location)
    assert paged == [key.location_id for key in sorted(book.positions)]


@given(worlds.books(waiting=True))
def test_a_stopped_position_gives_nothing_to_anybody(book: Book) -> None:
    stopped = {key: replace(each, stopped_through=book.today) for key, each in book.positions.items()}
    found = _read(replace(book, positions=stopped), View(by_tier=True))["items"][0]["locations"]
    for location in found:
        assert location["stopped_through"] == iso(book.today)
        assert all(not share["confirmable"] for row in location["days"] for share in row["tiers"])
