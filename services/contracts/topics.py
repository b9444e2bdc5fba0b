"""Every topic, its key and how it is kept.

A topic's twin for what could not be processed is `dead_letters(topic)`. Partition counts are a deployment's choice;
the numbers here are what `tiercel` creates when a topic is missing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Cleanup(StrEnum):
    """How the log forgets: by age, or by keeping the newest record of each key."""

    DELETE = "delete"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its name, what its key is, how it is cleaned, and how many partitions it gets by default."""

    name: str
    key: str
    cleanup: Cleanup = Cleanup.DELETE
    partitions: int = 8


ORDERS: Final = Topic("orders.v1", "order id of its source")
SUPPLY: Final = Topic("supply.v1", "item id")
CATALOG: Final = Topic("catalog.v1", "item id, or the id of what is described")
FULFILMENTS: Final = Topic("fulfilments.v1", "order id of its source")
ORDERS_RECORDED: Final = Topic("orders.recorded.v1", "customer id of the registry")
PROMISES: Final = Topic("promises.v1", "order id of its source")
SEGMENTS_CURRENT: Final = Topic("segments.current.v1", "customer id of the registry", Cleanup.COMPACT)
SEGMENTS_CHANGES: Final = Topic("segments.changes.v1", "customer id of the registry")
SEGMENTS_PROPOSALS: Final = Topic("segments.proposals.v1", "customer id of the registry")
SEGMENTS_POLICIES: Final = Topic("segments.policies.v1", "tier id", Cleanup.COMPACT, partitions=1)
SEGMENTS_PROFILES: Final = Topic("segments.profiles.v1", "customer id of the registry", Cleanup.COMPACT)
SERVICE_BREACHES: Final = Topic("service.breaches.v1", "tier id", partitions=1)
ORDERS_COSTED: Final = Topic("orders.costed.v1", "customer id of the registry")
RECLASSIFICATION: Final = Topic("segments.reclassification.v1", "rule set id", partitions=1)
CUSTOMER_FEEDBACK: Final = Topic("customer.feedback.v1", "customer id of the registry")
AUDIT_ANCHORS: Final = Topic("audit.anchors.v1", "service and position", Cleanup.COMPACT, partitions=1)

ALL: Final = (
    ORDERS,
    SUPPLY,
    CATALOG,
    FULFILMENTS,
    ORDERS_RECORDED,
    PROMISES,
    SEGMENTS_CURRENT,
    SEGMENTS_CHANGES,
    SEGMENTS_PROPOSALS,
    SEGMENTS_POLICIES,
    SEGMENTS_PROFILES,
    SERVICE_BREACHES,
    ORDERS_COSTED,
    RECLASSIFICATION,
    CUSTOMER_FEEDBACK,
    AUDIT_ANCHORS,
)


def dead_letters(topic: str) -> str:
    """The name of the topic that takes what could not be processed from `topic`."""
    return f"{topic}.dlq"
