"""After each event of random histories a real ATP, woken by what it touches, stands as a full run would leave it.

The oracle runs over everything after each event, by arithmetic of its own (tests/support/service_oracle.py).
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson
import pytest

from services.atp.adapters.ledger import verify
from services.atp.adapters.oversell_audit import audit
from services.contracts import catalogue
from tests.support.atp import Atp, an_order, assigned, in_days, order_event, running_atp, unique
from tests.support.service_oracle import ITEMS, LIMITED, TIERS, Event, Oracle, events

START = datetime(2026, 1, 1, tzinfo=UTC)
HISTORIES, EVENTS = 16, 25  # some hundreds of events
CUSTOMERS = 4


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_due_poll_seconds=0.1) as running:
        yield running
        assert (await verify(running.database)).drifts == ()
        found = await audit(running.database)
        assert (found.oversold, found.broken_chains) == ({}, {})


class Company:
    """The names of one history in the ATP, and what was told of it."""

    def __init__(self, atp: Atp, quota: int) -> None:
        self.atp = atp
        self.name = unique("history")
        self.quota = quota
        self.promises: list[str] = []
        self.lines: list[int] = []
        self.sequence = 1

    async def begin(self) -> None:
        """Tiers, items and customers; the quota is the limited tier's over all items."""
        for tier, rank in TIERS.items():
            await self.atp.tier(f"{self.name}.{tier}", rank)
        for item in ITEMS:
            await self.atp.item(f"{self.name}.{item}")
        for number in range(CUSTOMERS):
            await self.atp.customer(f"{self.name}.{number}", assigned(f"{self.name}.silver"))
        await self._limit(0)

    async def happen(self, event: Event) -> None:
        """Tell an event, and wait until nothing is left to be done."""
        match event.kind:
            case "order":
                await self._place(event)
            case "receipt":
                await self._receive(event)
            case "cancel":
                promise = self.promises[event.number]
                state = (await self.atp.client.get(f"/v1/promises/{promise}")).json()["state"]
                if state != "cancelled":
                    body = {"version": 1}
                    answer = await self.atp.client.post(f"/v1/promises/{promise}:cancel", json=body)
                    assert answer.status_code == 200, answer.text
            case "tier":
                await self._move(event)
            case _:
                await self._limit(event.quantity)
        await self.atp.until(
            "SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL)"
            " AND NOT EXISTS (SELECT FROM due WHERE at <= clock_timestamp())"
        )

    async def has(self) -> list[list[int]]:
        """What each order has by line."""
        rows = await self.atp.fetch(
            "SELECT promise_id::text, line, sum(open)::int FROM commitment WHERE promise_id = ANY($1::text[]::uuid[])"
            " GROUP BY 1, 2",
            self.promises,
        )
        held = {(promise, line): quantity for promise, line, quantity in rows}
        return [
            [held.get((promise, str(line)), 0) for line in range(1, self.lines[number] + 1)]
            for number, promise in enumerate(self.promises)
        ]

    async def _place(self, event: Event) -> None:
        self.lines.append(len(event.lines))
        order = an_order(
            *((f"{self.name}.{item}", quantity) for item, quantity in event.lines),
            order_id=f"{self.name}.{event.number:05}",
            customer={"system": "erp", "id": f"{self.name}.{event.tier}"},
            ordered_at=(START + timedelta(minutes=event.number)).isoformat(),
            requested_arrival=in_days(9 + event.wanted),
            latest_acceptable_arrival=in_days(60),
            ship_complete=event.whole,
        )
        answer = await self.atp.place(order)
        assert answer.status_code in {200, 201}, answer.text
        self.promises.append(answer.json()["promise_id"])

    async def _receive(self, event: Event) -> None:
        ((item, quantity),) = event.lines
        movement: dict[str, Any] = {
            "source": "wms",
            "reference": unique("m"),
            "sku": f"{self.name}.{item}",
            "location": "L1",
            "kind": "receipt",
            "quantity": quantity,
            "occurred_at": "2026-01-05T08:00:00Z",
        }
        answer = await self.atp.client.post("/v1/supply/movements", json={"items": [movement]})
        assert answer.status_code == 200, answer.text

    async def _move(self, event: Event) -> None:
        self.sequence += 1
        customer = f"{self.name}.{event.number}"
        assignment = {
            "tier": f"{self.name}.{event.tier}",
            "effective_from": "2000-01-01T00:00:00Z",
            "sequence": self.sequence,
        }
        current = {
            "customer_id": customer,
            "sequence": self.sequence,
            "identifiers": [{"system": "erp", "id": customer}],
            "assignments": [assignment],
        }
        reference = {"order": {"order_id": customer}}
        data = orjson.dumps(current)
        await self.atp.publish(order_event(catalogue.SEGMENT_CURRENT, reference, data=data, key=customer))
        applied = "SELECT EXISTS (SELECT FROM segment WHERE customer_id = $1 AND sequence = $2)"
        await self.atp.until(applied, customer, self.sequence)

    async def _limit(self, more: int) -> None:
        self.quota += more
        period = {"start": in_days(-1), "end": in_days(300), "quantity": self.quota, "tier": f"{self.name}.{LIMITED}"}
        answer = await self.atp.client.put(f"/v1/quotas/{self.name}", json={"lines": [period]})
        assert answer.status_code == 200, answer.text


async def test_after_each_event_what_was_woken_has_done_what_a_full_run_does(atp: Atp) -> None:
    """One ATP for all histories: a projection goes on in the log where it was."""
    for seed in range(HISTORIES):
        random = Random(seed)
        quota = random.randint(1, 5)
        company, oracle = Company(atp, quota), Oracle(quota)
        await company.begin()
        for number, event in enumerate(events(random, EVENTS, CUSTOMERS)):
            await company.happen(event)
            oracle.happen(event)
            if company.promises:
                assert await company.has() == oracle.has(), (seed, number, event)
