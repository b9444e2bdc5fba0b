"""The kinds of constraints that may bind; the published language has the same (`services.contracts.promises`)."""

from typing import Literal

BindingKind = Literal[
    "supply",
    "protection",
    "quota",
    "lane",
    "item",
    "ship_complete",
    "minimum_quantity",
    "validation",
    "unit",
    "pack",
    "backorders",
    "stop",
    "calendar",
    "cut_off",
    "rule",
    "buffer",
    "capacity",
    "sourcing_rule",
    "fulfilment_mode",
    "shipments",
    "preemption",
]
