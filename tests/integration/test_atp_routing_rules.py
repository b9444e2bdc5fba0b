"""Sourcing rules, fulfilment modes and substitutions, by HTTP and by events: they act, are named, and repeat."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from services.atp.application.reproduce import reproduce
from services.contracts import catalogue
from services.contracts.promises import Promise
from tests.integration.test_atp_master_data import catalog_event
from tests.support.atp import Atp, an_order, assigned, running_atp, today, unique


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def put_rules(atp: Atp, kind: str, document: str, *rules: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """Write the next version of a document."""
    answer = await atp.client.put(f"/v1/{kind}/{document}", json={"rules": list(rules), **fields})
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def places(atp: Atp, zone: str, *terms: tuple[str, str, int, int]) -> dict[str, str]:
    """Locations of a zone by kind and class: (kind, carrier class, transit days, cost) each; names by kind."""
    found: dict[str, str] = {}
    for kind, carrier_class, transit, cost in terms:
        name = found.setdefault(kind, unique(kind.upper()))
        await atp.client.put(f"/v1/locations/{name}", json={"kind": kind})
        lane = {"zone": zone, "location": name, "service": carrier_class, "carrier_class": carrier_class}
        costs = {"transit_days": transit, "cost_shipment_minor": cost}
        answer = await atp.client.put("/v1/lanes", json={"items": [{**lane, **costs}]})
        assert answer.status_code == 200, answer.text
    return found


async def stocked(atp: Atp, quantity: int, *locations: str, **terms: Any) -> str:
    """An item with as much at each location."""
    sku = unique("item")
    assert (await atp.client.post("/v1/items", json={"items": [{"sku": sku, **terms}]})).status_code == 200
    for location in locations:
        await atp.execute(
            "INSERT INTO position (item_id, location_id, on_hand) VALUES ($1, $2, $3)", sku, location, quantity
        )
    return sku


async def line_of(atp: Atp, sku: str, quantity: int, zone: str, **fields: Any) -> dict[str, Any]:
    """The answer for a line, which is a promise of the published language."""
    answer = await atp.place(an_order((sku, quantity), ship_to={"zone": zone}, **fields))
    assert answer.status_code in {200, 201}, answer.text
    Promise.model_validate(answer.json())
    line: dict[str, Any] = answer.json()["lines"][0]
    return line


async def gold_customer(atp: Atp) -> tuple[str, dict[str, Any]]:
    """A tier with a customer in it, and the order's field that names him."""
    tier, customer = unique("tier"), unique("C")
    await atp.tier(tier, int(tier.rpartition("-")[2]) + 10)
    await atp.customer(customer, assigned(tier))
    return tier, {"customer": {"system": "erp", "id": customer}}


async def test_a_sourcing_rule_says_where_from_and_the_most_specific_one_is_named(atp: Atp) -> None:
    zone, document = unique("Z"), unique("rules")
    tier, gold = await gold_customer(atp)
    at = await places(atp, zone, ("distribution_center", "road", 2, 900), ("third_party", "road", 2, 100))
    sku = await stocked(atp, 50, *at.values())
    assert "routed_by" not in (free := await line_of(atp, sku, 1, zone, **gold))
    assert free["schedule"][0]["location"] == at["third_party"]  # the cheaper one, while nothing is ruled
    from_dc = {"locations": [{"location": at["distribution_center"]}]}
    from_third = {"locations": [{"location": at["third_party"], "rank": 2}]}
    await put_rules(atp, "sourcing-rules", document, {"rule": "zone", "zone": zone, **from_third})
    await put_rules(
        atp,
        "sourcing-rules",
        document,
        {"rule": "zone", "zone": zone, **from_third},
        {"rule": "gold", "zone": zone, "tier": tier, **from_dc},
    )
    line = await line_of(atp, sku, 1, zone, **gold)
    assert line["schedule"][0]["location"] == at["distribution_center"]
    assert line["routed_by"] == [{"kind": "sourcing_rule", "rule": f"{document}/gold", "version": 2}]
    other = await line_of(atp, sku, 1, zone)
    assert other["schedule"][0]["location"] == at["third_party"]
    assert other["routed_by"][0]["rule"] == f"{document}/zone"
    records = await atp.fetch("SELECT input FROM decision_batch")
    assert sum(len(reproduce(record)) for (record,) in records) >= 3


async def test_a_rule_that_leaves_too_little_is_the_reason_and_one_that_leaves_nothing_refuses(atp: Atp) -> None:
    zone, document = unique("Z"), unique("rules")
    at = await places(atp, zone, ("distribution_center", "road", 1, 0), ("store", "road", 1, 0))
    sku = await stocked(atp, 5, *at.values())
    only = {"rule": "dc", "zone": zone, "locations": [{"location": at["distribution_center"]}]}
    await put_rules(atp, "sourcing-rules", document, only)
    line = await line_of(atp, sku, 8, zone)
    assert line["outcome"] == "partly_promised"
    why = {each["kind"]: each for each in line["why"]}
    assert why["sourcing_rule"]["reference"] == f"{document}/dc"
    assert at["store"] in why["sourcing_rule"]["would_help"]
    elsewhere = unique("L")
    await atp.client.put(f"/v1/locations/{elsewhere}", json={})
    await put_rules(atp, "sourcing-rules", document, {**only, "locations": [{"location": elsewhere}]})
    refused = await line_of(atp, sku, 1, zone)
    assert (refused["outcome"], refused["why"][0]["kind"]) == ("no_source", "sourcing_rule")
    await put_rules(atp, "sourcing-rules", document)
    assert (await line_of(atp, sku, 1, zone))["outcome"] == "promised"


async def test_ranks_in_turn_are_tried_one_after_another_and_otherwise_decide_between_equals(atp: Atp) -> None:
    zone, document = unique("Z"), unique("rules")
    at = await places(atp, zone, ("distribution_center", "road", 2, 900), ("third_party", "road", 2, 100))
    sku = await stocked(atp, 5, *at.values())
    ranked = [{"location": at["distribution_center"], "rank": 1}, {"location": at["third_party"], "rank": 2}]
    rule = {"rule": "both", "zone": zone, "locations": ranked}
    await put_rules(atp, "sourcing-rules", document, rule)
    assert (await line_of(atp, sku, 1, zone))["schedule"][0]["location"] == at["third_party"]  # it is cheaper
    await put_rules(atp, "sourcing-rules", document, {**rule, "in_turn": True})
    assert (await line_of(atp, sku, 5, zone))["schedule"][0]["location"] == at["distribution_center"]
    assert (await line_of(atp, sku, 2, zone))["schedule"][0]["location"] == at["third_party"]  # the first is empty


async def test_a_fulfilment_mode_is_chosen_by_tier_criticality_and_zone_and_widens_only_where_it_must(
    atp: Atp,
) -> None:
    zone, document = unique("Z"), unique("modes")
    tier, gold = await gold_customer(atp)
    at = await places(
        atp,
        zone,
        ("distribution_center", "express", 1, 900),
        ("distribution_center", "road", 3, 300),
        ("drop_ship", "road", 3, 50),
    )
    vital = await stocked(atp, 5, *at.values(), criticality="vital")
    plain = await stocked(atp, 5, *at.values())
    by_express = {"kinds": ["distribution_center"], "carrier_classes": ["express"]}
    await put_rules(
        atp,
        "fulfilment-modes",
        document,
        {"rule": "anything", "zone": zone, "attempts": [{"kinds": ["drop_ship"]}, {}]},
        {"rule": "vital-gold", "zone": zone, "tier": tier, "criticality": "vital", "attempts": [by_express, {}]},
    )
    express = (await line_of(atp, vital, 2, zone, **gold))["schedule"][0]
    assert (express["location"], express["service"], express["cost_minor"]) == (
        at["distribution_center"],
        "express",
        900,
    )
    dropped = await line_of(atp, plain, 5, zone)
    assert dropped["schedule"][0]["location"] == at["drop_ship"]
    assert dropped["routed_by"] == [{"kind": "fulfilment_mode", "rule": f"{document}/anything", "version": 1}]
    wider = await line_of(atp, plain, 2, zone)  # the vendor has none left
    assert wider["schedule"][0]["location"] == at["distribution_center"]


async def test_substitutions_are_directed_have_a_ratio_and_are_for_whom_they_name(atp: Atp) -> None:
    zone, document = unique("Z"), unique("subs")
    tier, gold = await gold_customer(atp)
    at = await places(atp, zone, ("distribution_center", "road", 1, 0))
    box = await stocked(atp, 0, *at.values())
    bags = await stocked(atp, 100, *at.values())
    rule = {"rule": "bags", "sku": box, "substitute": bags, "tier": tier, "quantity": 1, "substitute_quantity": 12}
    await put_rules(atp, "substitutions", document, rule)
    line = await line_of(atp, box, 3, zone, **gold)
    assert line["alternatives"] == [
        {
            "sku": bags,
            "quantity": 36,
            "arrival_date": (today() + timedelta(days=1)).isoformat(),
            "replaces": 3,
            "rule": f"{document}/bags",
        }
    ]
    answer = await atp.place(an_order((box, 1), ship_to={"zone": zone}, **gold))
    told = await atp.client.get(f"/v1/promises/{answer.json()['promise_id']}/explanation")
    assert f"stand for 1 by substitution {document}/bags" in told.text
    assert "alternatives" not in await line_of(atp, box, 3, zone)
    assert "alternatives" not in await line_of(atp, bags, 150, zone, **gold)


async def test_versions_have_an_author_and_dates_a_stale_base_and_unknown_names_are_refused(atp: Atp) -> None:
    zone, document = unique("Z"), unique("rules")
    at = await places(atp, zone, ("store", "road", 1, 0))
    rule = {"rule": "one", "zone": zone, "locations": [{"location": at["store"]}]}
    await put_rules(atp, "sourcing-rules", document, rule)
    later = (today() + timedelta(days=9)).isoformat() + "T00:00:00Z"
    await put_rules(atp, "sourcing-rules", document, effective_from=later)
    path = f"/v1/sourcing-rules/{document}"
    moments = (f"{today()}T23:59:59Z", (today() + timedelta(days=10)).isoformat() + "T00:00:00Z")
    now, then = [(await atp.client.get(path, params={"at": moment})).json() for moment in moments]
    assert (now["version"], len(now["rules"]), then["version"], then["rules"]) == (1, 1, 2, [])
    versions = (await atp.client.get(f"{path}/versions")).json()["items"]
    assert [each["version"] for each in versions] == [2, 1]
    assert all(each["author"] for each in versions)
    stale = await atp.client.put(path, json={"rules": []}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    wrong = {**rule, "tier": "nobody", "locations": [{"location": "nowhere"}]}
    unknown = await atp.client.put(path, json={"rules": [wrong]})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "names_unknown")
    assert (unknown.json()["tiers"], unknown.json()["locations"]) == (["nobody"], ["nowhere"])
    other_kind = await atp.client.put(f"/v1/fulfilment-modes/{document}", json={"rules": []})
    assert (other_kind.status_code, other_kind.json()["code"]) == (409, "document_kind")
    assert (await line_of(atp, await stocked(atp, 5, at["store"]), 1, zone))["routed_by"][0]["rule"] == (
        f"{document}/one"
    )
    audited = await atp.fetch("SELECT action, author FROM audit WHERE subject = $1 ORDER BY position", document)
    assert [action for action, _ in audited] == ["sourcing_rules.written"] * 2


async def test_rules_come_by_events_at_their_highest_version_and_those_who_wait_are_asked_again(atp: Atp) -> None:
    zone, document = unique("Z"), unique("rules")
    at = await places(atp, zone, ("distribution_center", "road", 1, 0), ("store", "road", 1, 0))
    sku = await stocked(atp, 0, at["distribution_center"])
    await atp.execute("INSERT INTO position (item_id, location_id, on_hand) VALUES ($1, $2, 7)", sku, at["store"])

    def said(version: int, location: str) -> dict[str, Any]:
        rule = {"rule": "one", "zone": zone, "locations": [{"location": location}]}
        return {"document": document, "version": version, "author": "erp", "rules": [rule]}

    kind = catalogue.CATALOG_SOURCING_RULES
    await atp.publish(catalog_event(kind, document, said(2, at["distribution_center"])))
    await atp.until("SELECT EXISTS (SELECT FROM routing_document WHERE document_id = $1)", document)
    answer = await atp.place(an_order((sku, 4), ship_to={"zone": zone}))
    assert answer.json()["lines"][0]["outcome"] == "backordered"
    await atp.publish(
        catalog_event(kind, document, said(5, at["store"])),
        catalog_event(kind, document, said(4, at["distribution_center"])),
    )
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", sku)
    promise = (await atp.client.get(f"/v1/promises/{answer.json()['promise_id']}")).json()
    assert promise["lines"][0]["schedule"][0]["location"] == at["store"]
    history = (await atp.client.get(f"/v1/promises/{promise['promise_id']}/history")).json()["items"]
    assert "routing_changed" in {each.get("cause") for each in history}
    assert (await atp.client.get(f"/v1/sourcing-rules/{document}")).json()["author"] == "erp"


async def test_a_preview_shows_which_promises_rules_would_change_and_writes_nothing(atp: Atp) -> None:
    zone, document = unique("Z"), unique("rules")
    at = await places(atp, zone, ("distribution_center", "road", 1, 0), ("store", "road", 1, 0))
    sku = await stocked(atp, 0, at["distribution_center"])
    await atp.execute("INSERT INTO position (item_id, location_id, on_hand) VALUES ($1, $2, 7)", sku, at["store"])
    from_dc = {"rule": "one", "zone": zone, "locations": [{"location": at["distribution_center"]}]}
    await put_rules(atp, "sourcing-rules", document, from_dc)
    answer = await atp.place(an_order((sku, 4), ship_to={"zone": zone}))
    tried = {"document_id": document, "document": {"rules": []}}
    seen = (await atp.client.post("/v1/previews", json={"sourcing_rules": [tried]})).json()
    mine = [each for each in seen["promises"] if each["promise_id"] == answer.json()["promise_id"]]
    assert [(each["gained"], each["lost"]) for each in mine] == [(4, 0)]
    assert (await atp.client.get(f"/v1/sourcing-rules/{document}")).json()["version"] == 1
    await put_rules(atp, "sourcing-rules", document)
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", sku)
