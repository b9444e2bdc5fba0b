"""Every size limit that a caller can meet, with the constant that enforces it."""

from dataclasses import dataclass
from typing import Final

from services.atp.entrypoints import (
    availability_routes,
    batch_route,
    configuration_routes,
    cut_over_routes,
    position_routes,
    promise_routes,
    quick_route,
    supply_routes,
    validation_routes,
)
from services.chassis import envelope, http, http_protocol, problems, strict_json
from services.chassis.event_log import kafka_producer
from services.contracts import payload
from services.reclassifier.application import condition_document
from services.segment_registry.application import import_customers
from services.segment_registry.entrypoints import bulk_routes

_RULES: Final = "reclassifier.application.condition_document"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: what is limited, the number with its unit, and where it is stated."""

    what: str
    number: int
    unit: str
    source: str

    @property
    def shown(self) -> str:
        """The number with thousands apart, and the unit."""
        return f"{self.number:,} {self.unit}"


LIMITS: Final = (
    Limit("an id of another system", payload.ID_MAX_CHARS, "characters", "contracts.payload.ID_MAX_CHARS"),
    Limit("a code (tier, location, zone, channel, service)", 64, "characters", "contracts.payload.Code"),
    Limit("a reason or note", payload.NOTE_MAX_CHARS, "characters", "contracts.payload.NOTE_MAX_CHARS"),
    Limit("a quantity", payload.QUANTITY_MAX, "base units", "contracts.payload.QUANTITY_MAX"),
    Limit("the lines of an order", payload.LINES_MAX, "lines", "contracts.payload.LINES_MAX"),
    Limit("an amount of money", payload.MONEY_DIGITS_MAX, "digits, 6 after the point", "contracts.payload.Money"),
    Limit("a request body", http.BODY_LIMIT_BYTES, "bytes", "chassis.http.BODY_LIMIT_BYTES"),
    Limit(
        "the body of a batch of orders",
        promise_routes.BATCH_BODY_MAX_BYTES,
        "bytes",
        "atp.entrypoints.promise_routes.BATCH_BODY_MAX_BYTES",
    ),
    Limit("a batch of orders", batch_route.ORDERS_MAX, "orders", "atp.entrypoints.batch_route.ORDERS_MAX"),
    Limit(
        "a request of open orders", cut_over_routes.ORDERS_MAX, "orders", "atp.entrypoints.cut_over_routes.ORDERS_MAX"
    ),
    Limit("a request of supply", supply_routes.ENTRIES_MAX, "entries", "atp.entrypoints.supply_routes.ENTRIES_MAX"),
    Limit(
        "a request of items, lanes, protections or quotas",
        configuration_routes.ENTRIES_MAX,
        "entries",
        "atp.entrypoints.configuration_routes.ENTRIES_MAX",
    ),
    Limit("a page of positions", position_routes.PAGE_MAX, "positions", "atp.entrypoints.position_routes.PAGE_MAX"),
    Limit("a quick look", quick_route.PAIRS_MAX, "pairs of SKU and zone", "atp.entrypoints.quick_route.PAIRS_MAX"),
    Limit(
        "a bulk of availability",
        availability_routes.ITEMS_MAX,
        "items",
        "atp.entrypoints.availability_routes.ITEMS_MAX",
    ),
    Limit(
        "a page of availability",
        availability_routes.PAGE_MAX,
        "locations",
        "atp.entrypoints.availability_routes.PAGE_MAX",
    ),
    Limit(
        "a request of blocks of customers",
        validation_routes.ENTRIES_MAX,
        "entries",
        "atp.entrypoints.validation_routes.ENTRIES_MAX",
    ),
    Limit(
        "a page of held orders or blocks",
        validation_routes.PAGE_MAX,
        "entries",
        "atp.entrypoints.validation_routes.PAGE_MAX",
    ),
    Limit(
        "the body of an import of customers",
        bulk_routes.IMPORT_BODY_MAX_BYTES,
        "bytes",
        "segment_registry.entrypoints.bulk_routes.IMPORT_BODY_MAX_BYTES",
    ),
    Limit(
        "an import of customers",
        import_customers.IMPORT_ROWS_MAX,
        "rows",
        "segment_registry.application.import_customers.IMPORT_ROWS_MAX",
    ),
    Limit("one condition of a rule", condition_document.NODES_MAX, "parts", f"{_RULES}.NODES_MAX"),
    Limit("the depth of a condition", condition_document.DEPTH_MAX, "levels", f"{_RULES}.DEPTH_MAX"),
    Limit("a window of a rule", condition_document.WINDOW_DAYS_MAX, "days", f"{_RULES}.WINDOW_DAYS_MAX"),
    Limit("the depth of a JSON body", strict_json.DEPTH_MAX, "levels", "chassis.strict_json.DEPTH_MAX"),
    Limit(
        "the headers of a request",
        http_protocol.HEADERS_MAX_BYTES,
        "bytes",
        "chassis.http_protocol.HEADERS_MAX_BYTES",
    ),
    Limit("the errors of one problem document", problems.ERRORS_MAX, "errors", "chassis.problems.ERRORS_MAX"),
    Limit(
        "an attribute of an event",
        envelope.ATTRIBUTE_MAX_CHARS,
        "characters",
        "chassis.envelope.ATTRIBUTE_MAX_CHARS",
    ),
    Limit(
        "an event with its headers",
        kafka_producer.RECORD_MAX_BYTES,
        "bytes",
        "chassis.event_log.kafka_producer.RECORD_MAX_BYTES",
    ),
)
