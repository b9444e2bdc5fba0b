"""The services by role, as docker-compose.yml starts them: orders by HTTP and by Kafka, published answers, the end."""

import re
import uuid
from datetime import UTC, datetime
from functools import partial

import orjson
import pytest

from services.chassis.envelope import Event, from_record, to_record
from services.contracts import topics
from tests.support.processes import READY_SECONDS, Deployment, deployed
from tests.support.waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]


def _order(order_id: str) -> dict[str, object]:
    return {
        "order": {"source": "shop", "order_id": order_id, "version": 1},
        "customer": {"system": "shop", "id": "C-9"},
        "lines": [{"line": "1", "sku": "TEA-1", "quantity": 3}],
    }


def _placed(order_id: str) -> Event:
    event_id = str(uuid.uuid4())
    return Event(
        id=event_id,
        type="order.placed.v1",
        source="urn:shop",
        topic=topics.ORDERS.name,
        key=order_id,
        sequence=1,
        time=datetime.now(UTC),
        data=orjson.dumps(_order(order_id)),
        correlation_id=event_id,
        causation_id=event_id,
        traceparent=None,
        dataschema="urn:tiercel:schema:order.placed.v1",
    )


async def _stock(deployment: Deployment) -> None:
    lane = {"zone": "*", "location": "DC-1", "service": "parcel", "carrier_class": "standard"}
    lane_terms = {"rank": 1, "transit_days": 2, "cost_shipment_minor": 450, "cost_unit_minor": 5}
    receipt = {"source": "wms", "reference": "GR-1", "sku": "TEA-1", "location": "DC-1", "kind": "receipt"}
    for method, path, body in (
        ("PUT", "/v1/items/TEA-1", {"sku": "TEA-1"}),
        ("PUT", "/v1/locations/DC-1", {"time_zone": "Europe/London"}),
        ("PUT", "/v1/lanes", {"items": [lane | lane_terms]}),
        (
            "POST",
            "/v1/supply/movements",
            {"items": [receipt | {"quantity": 100, "occurred_at": "2026-01-05T08:00:00Z"}]},
        ),
    ):
        answer = await deployment.ask("atp-api", method, path, body)
        assert answer.is_success, answer.text


async def _published_orders(deployment: Deployment, wanted: set[str]) -> None:
    """Wait until promises.v1 holds an answer to each of these orders."""
    reader = await deployment.event_log.reader([topics.PROMISES.name])
    try:
        while wanted:
            for received in await reader.poll(100, 1.0):
                wanted.discard(orjson.loads(from_record(received).data)["promise"]["order"]["order_id"])
    finally:
        await reader.close()


async def _hears_the_registry(deployment: Deployment, name: str) -> bool:
    """Whether the tier projection of this process is fresh; a process that reads no tiers says 0."""
    metrics = (await deployment.ask(name, "GET", "/metrics")).text
    found = re.search(r"^tiercel_tier_projection_age_seconds (\S+)", metrics, re.MULTILINE)
    assert found
    return float(found[1]) < 10


async def test_an_order_goes_through_processes_that_have_one_role_each(database_url: str, kafka_bootstrap: str) -> None:
    async with deployed(database_url, kafka_bootstrap) as deployment:
        deployment.start("segment-registry", "segment_registry")
        deployment.start("reclassifier", "reclassifier")
        for role in ("api", "consumer", "relay"):
            deployment.start(f"atp-{role}", "atp", role)
        await deployment.ready()
        await _stock(deployment)

        by_http = await deployment.ask("atp-api", "POST", "/v1/promises", _order("H-1"))
        assert by_http.status_code == 201, by_http.text
        assert by_http.json()["lines"][0]["outcome"] == "promised"

        producer = await deployment.event_log.producer("shop")
        await producer.publish([to_record(_placed("K-1"))], deadline_seconds=60)
        await producer.close()

        async def answered() -> bool:
            found = await deployment.ask("atp-api", "GET", "/v1/promises?source=shop&order_id=K-1")
            return found.is_success

        await until(answered)
        await _published_orders(deployment, {"H-1", "K-1"})

        for name in ("atp-api", "atp-consumer", "atp-relay"):
            await until(partial(_hears_the_registry, deployment, name))
        assert (await deployment.ask("atp-consumer", "POST", "/v1/promises", _order("H-2"))).status_code == 404
        assert deployment.stop() == dict.fromkeys(deployment.running, 0)


async def test_a_process_without_anybody_to_let_in_does_not_start(database_url: str, kafka_bootstrap: str) -> None:
    async with deployed(database_url, kafka_bootstrap) as deployment:
        deployment.environment = {
            name: value for name, value in deployment.environment.items() if name != "TIERCEL_API_KEYS_FILE"
        }
        deployment.start("atp", "atp")
        assert deployment.running["atp"].wait(READY_SECONDS) == 1
        assert "nobody could be authenticated" in deployment.log_of("atp")
