"""Runs by random variants on a real ATP give each line what other arithmetic says, and touch no other line."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from tests.support.atp import Atp, an_order, assigned, running_atp, unique
from tests.support.atp_proofs import prove

WORLDS, ORDERS = 10, 14
LATER = (datetime.now(UTC).date() + timedelta(days=20)).isoformat()
TIERS = {"gold": 1, "silver": 2, "bronze": 3}
ZONES, CHANNELS = ("north", "south"), ("web", "shop")
WORDS = ("win", "gain", "improve", "redistribute", "fill", "lose", "skip")
# The table of ADR 38, written down again: who may fall for whom.
TAKES: dict[str, tuple[str, ...]] = {
    "win": ("improve", "redistribute", "fill", "lose"),
    "gain": ("improve", "redistribute", "fill", "lose"),
    "improve": ("redistribute", "fill", "lose"),
    "redistribute": ("redistribute", "fill", "lose"),
    "fill": (),
    "lose": ("lose",),
    "skip": (),
}


@dataclass
class Line:
    """A line of a world."""

    number: int
    tier: str
    zone: str
    channel: str
    quantity: int
    promise_id: str = ""
    promised: int = 0
    strategy: str = "skip"
    lost: int = 0

    @property
    def turn(self) -> tuple[int, int, int]:
        """When it is asked."""
        return (WORDS.index(self.strategy), TIERS[self.tier], self.number)


def settled(lines: list[Line], free: int) -> dict[str, int]:
    """What each line has after a run: each in its turn takes what is free, then from the last behind it that falls."""
    waits = {line.number: line for line in lines if line.strategy != "skip"}
    turns = sorted(waits.values(), key=lambda line: line.turn)
    moved = True
    while moved:
        moved = False
        for place, line in enumerate(turns):
            wanted = line.lost if line.strategy == "fill" else line.quantity - line.promised
            taken = min(wanted, free)
            free, line.promised, line.lost = free - taken, line.promised + taken, max(0, line.lost - taken)
            wanted -= taken
            for giver in reversed(turns[place + 1 :]):
                if giver.strategy in TAKES[line.strategy]:
                    given = min(wanted, giver.promised)
                    giver.promised, giver.lost = giver.promised - given, giver.lost + given
                    line.promised, wanted = line.promised + given, wanted - given
                    moved = moved or given > 0
    return {line.promise_id: line.promised for line in lines}


def segments(random: Random) -> list[dict[str, Any]]:
    """A variant that may name anybody, or nobody."""
    found = []
    for _ in range(random.randint(1, 5)):
        segment: dict[str, Any] = {"strategy": random.choice(WORDS)}
        for name, values in (("tiers", tuple(TIERS)), ("zones", ZONES), ("channels", CHANNELS)):
            if random.random() < 0.4:
                segment[name] = random.sample(values, random.randint(1, len(values) - 1))
        found.append(segment)
    return [*found, {"strategy": "gain"}] if random.random() < 0.3 else found


def strategy_of(line: Line, given: list[dict[str, Any]]) -> str:
    for segment in given:
        lets = [
            value in segment.get(name, (value,))
            for name, value in (("tiers", line.tier), ("zones", line.zone), ("channels", line.channel))
        ]
        if all(lets):
            return str(segment["strategy"])
    return "skip"


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_due_poll_seconds=0.1) as running:
        for tier, rank in TIERS.items():
            await running.tier(tier, rank, default=rank == len(TIERS), strategy="gain", as_soon_as_possible=False)
            await running.customer(tier, assigned(tier))
        yield running


async def promised(atp: Atp, lines: list[Line]) -> dict[str, int]:
    found = {}
    for line in lines:
        document = (await atp.client.get(f"/v1/promises/{line.promise_id}")).json()
        found[line.promise_id] = int(document["lines"][0]["promised"])
    return found


@pytest.mark.parametrize("seed", range(WORLDS))
async def test_a_run_by_a_random_variant_gives_what_the_table_says(atp: Atp, seed: int) -> None:
    random = Random(seed)
    on_hand = random.randint(8, 24)
    item = await atp.item(on_hand=on_hand)
    lines = []
    for number in range(ORDERS):
        tier, zone, channel = random.choice(tuple(TIERS)), random.choice(ZONES), random.choice(CHANNELS)
        line = Line(number, tier, zone, channel, random.randint(1, 5))
        customer = {"system": "erp", "id": tier}
        asked = an_order((item, line.quantity), customer=customer, ship_to={"zone": zone}, channel=channel)
        asked["lines"][0]["requested_arrival"] = LATER
        answer = (await atp.place(asked)).json()
        line.promise_id, line.promised = answer["promise_id"], answer["lines"][0]["promised"]
        lines.append(line)
    given = segments(random)
    if all(each["strategy"] == "skip" for each in given):
        given.append({"strategy": "win"})
    for line in lines:
        line.strategy = strategy_of(line, given)
    before = {line.promise_id: line.promised for line in lines}
    expected = settled(lines, on_hand - sum(before.values()))
    name = unique("world")
    written = await atp.client.put(
        f"/v1/run-variants/{name}", json={"segments": [{**each, "skus": [item]} for each in given]}
    )
    assert written.status_code == 200, written.text
    run_id = (await atp.client.post("/v1/runs", json={"variant_id": name, "reason": "a world"})).json()["run_id"]
    await atp.until("SELECT state = 'finished' FROM backorder_run WHERE run_id = $1", run_id)
    await atp.until("SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL)")
    assert await promised(atp, lines) == expected
    total = (await atp.client.get(f"/v1/runs/{run_id}")).json()["total"]
    gained = [expected[each] - before[each] for each in before]
    assert total["units_gained"] == sum(each for each in gained if each > 0)
    assert total["units_lost"] == -sum(each for each in gained if each < 0)
    assert (total["improved"], total["worsened"]) == (sum(n > 0 for n in gained), sum(n < 0 for n in gained))
    await prove(atp)
