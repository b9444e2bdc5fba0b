"""Calendars, services, cut-offs and zones: said by HTTP and by events, they act on promises, and decisions repeat."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta

import pytest

from services.atp.application.cut_offs import first_day, in_time
from services.atp.application.ports import Clock
from services.atp.application.reproduce import reproduce
from services.atp.domain.model import Offer
from services.contracts import catalogue
from tests.integration.test_atp_master_data import catalog_event
from tests.support.atp import Atp, an_order, running_atp, today, unique

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def put(atp: Atp, path: str, *items: dict[str, object]) -> None:
    """Define entries of the network."""
    answer = await atp.client.put(path, json={"items": list(items)})
    assert (answer.status_code, answer.json()) == (200, {"stored": len(items)})


async def place_of(atp: Atp, **terms: object) -> tuple[str, str]:
    """A location with a lane by a service of its own, both new: (location, service)."""
    location, service = unique("L"), unique("svc")
    assert (await atp.client.put(f"/v1/locations/{location}", json=terms)).status_code == 200
    lane = {"zone": location, "location": location, "service": service, "carrier_class": "road", "transit_days": 1}
    await put(atp, "/v1/lanes", lane)
    return location, service


async def shipped_on(atp: Atp, location: str) -> date:
    """The ship date that an order from a location gets."""
    sku = unique("item")
    await atp.client.put(f"/v1/items/{sku}", json={"sku": sku})
    await atp.execute("INSERT INTO position (item_id, location_id, on_hand) VALUES ($1, $2, 5)", sku, location)
    line = (await atp.place(an_order((sku, 1), ship_to={"zone": location}))).json()["lines"][0]
    return date.fromisoformat(line["schedule"][0]["ship_date"])


async def test_goods_ship_on_working_and_pick_up_days(atp: Atp) -> None:
    working, pick_up = unique("work"), unique("pick")
    in_two, in_four = today() + timedelta(days=2), today() + timedelta(days=4)
    await put(
        atp,
        "/v1/calendars",
        {"calendar": working, "weekdays": list(WEEK), "closed": [today().isoformat(), in_two.isoformat()]},
        {"calendar": pick_up, "weekdays": [WEEK[in_two.weekday()], WEEK[in_four.weekday()]]},
    )
    location, service = await place_of(atp, calendar=working)
    await put(atp, "/v1/services", {"service": service, "pick_up_calendar": pick_up})
    assert await shipped_on(atp, location) == in_four
    records = await atp.fetch("SELECT input FROM decision_batch")
    assert sum(len(reproduce(record)) for (record,) in records) >= 1
    found = (await atp.client.get("/v1/calendars")).json()["items"]
    assert [each["closed"] for each in found if each["calendar"] == working] == [
        [today().isoformat(), in_two.isoformat()]
    ]
    await put(atp, "/v1/calendars", {"calendar": working, "weekdays": list(WEEK)})
    await put(atp, "/v1/services", {"service": service})
    assert await shipped_on(atp, location) == today()


async def test_a_location_of_a_calendar_that_is_not_known_is_refused_by_hand_and_ships_nothing_by_event(
    atp: Atp,
) -> None:
    answer = await atp.client.put(f"/v1/locations/{unique('L')}", json={"calendar": "nowhere"})
    assert (answer.status_code, answer.json()["code"]) == (422, "calendar_unknown")
    location, calendar = unique("L"), unique("cal")
    lane = {"zone": location, "location": location, "service": "s", "carrier_class": "c", "transit_days": 1}
    await atp.publish(
        catalog_event(catalogue.CATALOG_LANE, location, {**lane, "version": 1}),
        catalog_event(catalogue.CATALOG_LOCATION, location, {"location": location, "calendar": calendar, "version": 2}),
        catalog_event(catalogue.CATALOG_LOCATION, location, {"location": location, "version": 1}),
    )
    await atp.until(
        "SELECT EXISTS (SELECT FROM location JOIN lane USING (location_id) WHERE location_id = $1)", location
    )
    sku = await atp.item()
    refused = await atp.place(an_order((sku, 1), ship_to={"zone": location}))
    assert refused.json()["lines"][0]["outcome"] == "backordered"  # served like "*", where there is none of it
    await atp.publish(
        catalog_event(catalogue.CATALOG_CALENDAR, calendar, {"calendar": calendar, "weekdays": list(WEEK)}),
        catalog_event(catalogue.CATALOG_SERVICE, "s", {"service": "s", "version": 1}),
    )
    await atp.until("SELECT EXISTS (SELECT FROM calendar WHERE calendar_id = $1)", calendar)
    assert await shipped_on(atp, location) == today()


def test_work_begins_by_the_clock_of_the_location_and_after_the_cut_off_on_the_next_day() -> None:
    summer = datetime(2026, 7, 1, 14, 30, tzinfo=UTC)
    day = summer.toordinal()
    assert first_day(Clock("UTC", time(15, 0)), summer) == day
    assert first_day(Clock("Europe/London", time(15, 0)), summer) == day + 1  # half past three, in summer time
    assert (
        first_day(Clock("Europe/London", time(15, 0)), summer.replace(month=1)) == summer.replace(month=1).toordinal()
    )
    assert first_day(Clock("Pacific/Auckland", None), summer) == day + 1
    assert first_day(Clock("America/Los_Angeles", None), summer.replace(hour=3)) == day - 1
    offer = Offer("L", "s", "c", 1, 0, 1, 0, 0)
    assert in_time((offer,), {("L", "s"): Clock("America/Los_Angeles", None)}, summer.replace(hour=3)) == (offer,)
    late = in_time((offer,), {("L", "s"): Clock("Pacific/Auckland", None)}, summer)
    assert late[0].not_before == day + 1


async def test_a_cut_off_that_has_passed_ships_the_next_day_and_is_named_as_the_reason(atp: Atp) -> None:
    location, service = await place_of(atp)
    await put(atp, "/v1/services", {"service": service, "cut_off": "00:00"})
    assert await shipped_on(atp, location) == today() + timedelta(days=1)
    sku = unique("item")
    await atp.client.put(f"/v1/items/{sku}", json={"sku": sku})
    await atp.execute("INSERT INTO position (item_id, location_id, on_hand) VALUES ($1, $2, 5)", sku, location)
    wish = (today() + timedelta(days=1)).isoformat()
    line = (await atp.place(an_order((sku, 1), ship_to={"zone": location}, requested_arrival=wish))).json()["lines"][0]
    assert (line["outcome"], line["why"][0]["kind"]) == ("promised_late", "cut_off")


async def test_weight_is_paid_by_the_kilogram(atp: Atp) -> None:
    location, _ = await place_of(atp)
    lanes = (await atp.client.get("/v1/lanes")).json()["items"]
    lane = next(each for each in lanes if each["location"] == location)
    await put(atp, "/v1/lanes", {**lane, "version": None, "cost_kg_minor": 100, "cost_unit_minor": 2})
    sku = unique("item")
    await atp.client.put(f"/v1/items/{sku}", json={"sku": sku, "weight_grams": 333})
    await atp.execute("INSERT INTO position (item_id, location_id, on_hand) VALUES ($1, $2, 5)", sku, location)
    promise = (await atp.place(an_order((sku, 2), ship_to={"zone": location}))).json()
    assert promise["cost_minor"] == 2 * 2 + 67  # 666 g at 100 a kilogram, a begun unit counts


async def test_a_country_and_postcode_are_mapped_to_a_zone_which_alone_is_kept(atp: Atp) -> None:
    highlands, _ = await place_of(atp)
    await put(
        atp,
        "/v1/zones",
        {"country": "GB", "zone": "GB"},
        {"country": "GB", "postcode_prefix": "IV", "zone": highlands},
        {"country": "DE", "postcode_from": "80331", "postcode_to": "81929", "zone": "MUNICH"},
    )
    for query, zone in (
        ({"country": "GB", "postcode": "iv2 3xy"}, highlands),
        ({"country": "GB", "postcode": "EC1A 1BB"}, "GB"),
        ({"country": "DE", "postcode": "80999"}, "MUNICH"),
        ({"country": "DE", "postcode": "10115"}, "*"),
        ({"country": "GB"}, "GB"),
    ):
        assert (await atp.client.get("/v1/zones:resolve", params=query)).json()["zone"] == zone
    told = (await atp.client.get("/v1/zones:resolve", params={"country": "GB", "postcode": "IV2"})).json()
    assert (told["rule"]["postcode_prefix"], [each["zone"] for each in told["others"]]) == ("IV", ["GB"])
    assert told["why"].startswith("It is the one rule of postcodes that begin with IV")
    nowhere = (await atp.client.get("/v1/zones:resolve", params={"country": "FR", "postcode": "75001"})).json()
    assert (nowhere["zone"], nowhere["rule"], nowhere["others"]) == ("*", None, [])
    for wrong in ({"country": "gb"}, {"postcode": "IV2"}, {"country": "GB", "postcode": "?"}):
        refused = await atp.client.get("/v1/zones:resolve", params=wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")
    sku = unique("item")
    await atp.client.put(f"/v1/items/{sku}", json={"sku": sku})
    await atp.execute("INSERT INTO position (item_id, location_id, on_hand) VALUES ($1, $2, 5)", sku, highlands)
    order = an_order((sku, 1), ship_to={"country": "GB", "postcode": "IV2 3XY"})
    asked = await atp.client.post("/v1/promises:inquire", json=order)
    assert asked.json()["zone"] == highlands
    answer = await atp.place(order)
    assert (answer.json()["zone"], answer.json()["lines"][0]["outcome"]) == (highlands, "promised")
    kept = await atp.fetch("SELECT content || document FROM promise WHERE order_id = $1", order["order"]["order_id"])
    assert b"IV2" not in kept[0][0]
    await put(atp, "/v1/zones", {"country": "GB", "postcode_prefix": "IV", "zone": "GB"})
    assert (await atp.place(order)).content == answer.content  # the same order, whatever the rules say now


@pytest.mark.parametrize(
    "wrong",
    [
        {"country": "DE", "postcode_from": "80331", "zone": "M"},
        {"country": "DE", "postcode_from": "9", "postcode_to": "10", "zone": "M"},
        {"country": "*", "postcode_prefix": "1", "zone": "M"},
    ],
)
async def test_a_rule_that_cannot_match_is_refused(atp: Atp, wrong: dict[str, str]) -> None:
    answer = await atp.client.put("/v1/zones", json={"items": [wrong]})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_who_defined_what_of_the_network_is_in_the_audit_trail(atp: Atp) -> None:
    location, service = await place_of(atp, processing_days=2)
    await put(atp, "/v1/services", {"service": service, "cut_off": "15:00"})
    lane = f"{location}/{location}/{service}"
    rows = await atp.fetch(
        "SELECT action, author FROM audit WHERE subject = ANY($1::text[]) ORDER BY position", [location, lane, service]
    )
    assert [action for action, _ in rows] == ["location.defined", "lane.defined", "service.defined"]
    assert all(author for _, author in rows)
    await atp.publish(catalog_event(catalogue.CATALOG_LOCATION, location, {"location": location, "version": 9}))
    await atp.until("SELECT processing_days = 0 FROM location WHERE location_id = $1", location)
    by_event = await atp.fetch("SELECT author FROM audit WHERE subject = $1 ORDER BY position DESC LIMIT 1", location)
    assert by_event == [("catalog.v1",)]
    await atp.publish(catalog_event(catalogue.CATALOG_LOCATION, location, {"location": location, "version": 3}))
    await atp.publish(catalog_event(catalogue.CATALOG_LOCATION, location, {"location": location, "version": 10}))
    await atp.until("SELECT version = 10 FROM location WHERE location_id = $1", location)
    assert len(await atp.fetch("SELECT FROM audit WHERE subject = $1", location)) == 3  # an older one defined nothing


async def test_public_holidays_close_a_calendar_but_for_days_that_are_opened_and_are_kept_as_days(atp: Atp) -> None:
    calendar, year = unique("cal"), today().year
    scotland = {"country": "GB", "subdivision": "SCT"}
    await put(atp, "/v1/calendars", {"calendar": calendar, "weekdays": list(WEEK), "holidays": scotland})

    async def stored() -> dict[str, object]:
        items = (await atp.client.get("/v1/calendars")).json()["items"]
        found: dict[str, object] = next(each for each in items if each["calendar"] == calendar)
        return found

    first = await stored()
    assert first["holidays"] == scotland
    expanded = first["expanded"]
    assert isinstance(expanded, dict)
    assert {f"{year}-12-25", f"{year + 1}-01-01", f"{year + 3}-12-25"} <= set(expanded["closed"])
    assert (expanded["through"], expanded["library"].split()[0]) == (f"{year + 3}-12-31", "holidays")

    location, _ = await place_of(atp, calendar=calendar)
    await atp.execute("UPDATE calendar SET holidays = $2 WHERE calendar_id = $1", calendar, [today().toordinal()])
    await atp.execute("UPDATE configuration SET version = version + 1")
    assert await shipped_on(atp, location) == today() + timedelta(days=1)
    opened: dict[str, object] = {"calendar": calendar, "weekdays": list(WEEK), "holidays": scotland}
    opened["opened"] = [today().isoformat()]
    await put(atp, "/v1/calendars", opened)
    await atp.execute("UPDATE calendar SET holidays = $2 WHERE calendar_id = $1", calendar, [today().toordinal()])
    await atp.execute("UPDATE configuration SET version = version + 1")
    assert await shipped_on(atp, location) == today()

    await atp.execute("UPDATE calendar SET holidays_library = 'holidays 0.1' WHERE calendar_id = $1", calendar)
    again = await atp.client.post("/v1/calendars:expand-holidays")
    assert again.json() == {"calendars": [calendar]}
    assert (await stored())["expanded"] == expanded
    assert (await atp.client.post("/v1/calendars:expand-holidays")).json() == {"calendars": []}
    audited = await atp.fetch("SELECT action FROM audit WHERE subject = $1 ORDER BY position", calendar)
    assert [action for (action,) in audited][-1] == "calendar.holidays_expanded"


async def test_holidays_that_nobody_knows_are_refused_by_hand_and_set_aside_by_event(atp: Atp) -> None:
    for wrong in ({"country": "ZZ"}, {"country": "GB", "subdivision": "NOWHERE"}):
        said = {"calendar": unique("cal"), "holidays": wrong}
        answer = await atp.client.put("/v1/calendars", json={"items": [said]})
        assert (answer.status_code, answer.json()["code"]) == (422, "holidays_unknown")
    good, bad = unique("cal"), unique("cal")
    await atp.publish(
        catalog_event(catalogue.CATALOG_CALENDAR, bad, {"calendar": bad, "holidays": {"country": "ZZ"}}),
        catalog_event(catalogue.CATALOG_CALENDAR, good, {"calendar": good, "holidays": {"country": "DE"}}),
    )
    await atp.until("SELECT EXISTS (SELECT FROM calendar WHERE calendar_id = $1)", good)
    assert await atp.fetch("SELECT FROM calendar WHERE calendar_id = $1", bad) == []
