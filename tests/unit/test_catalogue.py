import json
from typing import Any

import pytest

from services.contracts import topics
from services.contracts.catalogue import (
    ALL,
    CATALOGUE,
    ERRORS_SHOWN_MAX,
    Catalogue,
    EventRefused,
    EventType,
    decode,
    split_name,
)
from services.contracts.orders import OrderCancelled, OrderConfirmed, OrderRef
from services.contracts.payload import Payload


class OrderConfirmedV2(Payload):
    order: OrderRef
    confirmed_by: str


def _add_author(old: dict[str, Any]) -> dict[str, Any]:
    return {**old, "confirmed_by": "unknown"}


V1 = EventType("order.confirmed.v1", OrderConfirmed, topics.ORDERS)
V2 = EventType("order.confirmed.v2", OrderConfirmedV2, topics.ORDERS)
RAISING = Catalogue((V1, V2), {"order.confirmed.v1": _add_author})
CONFIRMED = b'{"order":{"source":"oms","order_id":"1"}}'


def _code(name: str, data: bytes, topic: str | None = None, catalogue: Catalogue = CATALOGUE) -> str:
    with pytest.raises(EventRefused) as refused:
        catalogue.decode(name, data, topic=topic)
    return refused.value.code


def test_a_payload_is_read_as_the_model_of_its_type() -> None:
    read = decode("order.cancelled.v1", CONFIRMED)
    assert read == OrderCancelled(order=OrderRef(source="oms", order_id="1"))


def test_every_type_names_its_stem_version_and_schema() -> None:
    assert (V2.stem, V2.version, V2.dataschema) == ("order.confirmed", 2, "urn:tiercel:schema:order.confirmed.v2")
    assert all(CATALOGUE.find(one.name) is one for one in ALL)


@pytest.mark.parametrize("name", ["order.vanished.v1", "nonsense", "", "order.placed", "order.placed.v0"])
def test_a_type_that_nobody_knows_is_refused(name: str) -> None:
    assert _code(name, b"{}") == "unknown_event_type"


def test_a_version_that_is_not_known_is_told_from_a_type_that_is_not() -> None:
    assert _code("order.placed.v7", b"{}") == "unknown_event_version"


def test_a_type_on_the_wrong_topic_is_refused() -> None:
    assert _code("order.confirmed.v1", CONFIRMED, topic="supply.v1") == "wrong_topic"
    assert _code("order.confirmed.v1", b"{}", topic="supply.v1", catalogue=RAISING) == "wrong_topic"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b'{"order":NaN}', b'{"order":{}}'])
def test_what_is_not_the_payload_is_refused(data: bytes) -> None:
    assert _code("order.confirmed.v1", data) == "invalid_payload"


def test_a_refusal_names_places_and_never_repeats_values() -> None:
    lines = [{"line": "secret", "sku": "secret", "quantity": "secret"} for _ in range(20)]
    with pytest.raises(EventRefused) as refused:
        decode("order.placed.v1", json.dumps({"order": 1, "customer": "secret", "lines": lines}).encode())
    assert "lines.0.quantity: int_type" in refused.value.detail
    assert "secret" not in refused.value.detail
    assert refused.value.detail.count(";") == ERRORS_SHOWN_MAX


def test_an_old_version_is_raised_to_the_newest() -> None:
    read = RAISING.decode("order.confirmed.v1", CONFIRMED, topic="orders.v1")
    assert read == OrderConfirmedV2(order=OrderRef(source="oms", order_id="1"), confirmed_by="unknown")


def test_an_old_version_must_be_valid_before_it_is_raised() -> None:
    assert _code("order.confirmed.v1", b'{"order":{}}', catalogue=RAISING) == "invalid_payload"


@pytest.mark.parametrize(("data", "detail"), [(b"{", "not JSON"), (b"[]", "not a JSON object")])
def test_a_version_without_its_model_is_raised_too(data: bytes, detail: str) -> None:
    only_new = Catalogue((V2,), {"order.confirmed.v1": _add_author})
    assert only_new.decode("order.confirmed.v1", CONFIRMED) == RAISING.decode("order.confirmed.v1", CONFIRMED)
    with pytest.raises(EventRefused, match=detail):
        only_new.decode("order.confirmed.v1", data)


def test_an_upcaster_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="leads nowhere"):
        Catalogue((V1,), {"order.confirmed.v1": _add_author})


def test_a_type_listed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Catalogue((V1, V1), {})


def test_what_is_no_name_has_no_version() -> None:
    with pytest.raises(ValueError, match="is no event type"):
        split_name("orders")
