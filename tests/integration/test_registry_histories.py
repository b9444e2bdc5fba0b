"""Customers of which everything happens to: whatever is asked of any time, each way of asking gives the same answer.

Random hours of assignments (past, present, planned), overrides, early ends, merges and splits, against pictures of each
hour that know nothing of intervals: the tier at one time as known at another, the explanation, the feed, and the state
that a subscriber of the compacted topic has.
"""

import random
from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.chassis.business_time import Phase, clear_replay, set_replay
from services.chassis.database import Connection
from services.contracts.segments import SegmentCurrent
from services.segment_registry.application.settle_effects import settle_due
from services.segment_registry.domain.timeline import Kind
from tests.support.painted_timeline import FOR_EVER, MOMENTS, Model, moment
from tests.support.registry_service import RegistryUnderTest, registry_over

NAMES = ("ash", "birch", "cedar", "elm")


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running
        await running.database.run(clear_replay, label="test")


@dataclass
class Picture:
    """All customers at an hour: their painted layers, and into whom each is merged."""

    layers: dict[str, Model] = field(default_factory=lambda: {name: Model() for name in NAMES})
    parents: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(NAMES))

    def root(self, name: str) -> str:
        """The customer as which one is served."""
        parent = self.parents[name]
        return name if parent is None else self.root(parent)

    def tier(self, name: str, hour: int) -> str:
        """The tier of a customer by itself."""
        found = self.layers[name].tier_at(hour)
        return "standard" if found is None else found[0]


@dataclass
class Story:
    """The registry beside the pictures of every hour so far."""

    registry: RegistryUnderTest
    ids: dict[str, str]
    now: Picture = field(default_factory=Picture)
    hours: dict[int, Picture] = field(default_factory=dict)
    fed: dict[str, str] = field(default_factory=dict)
    cursor: str | None = None

    def tier(self, name: str, at: int, known: int) -> str:
        """What was true at an hour as far as it was known at another one."""
        return self.hours[known].tier(self.hours[min(at, known)].root(name), at)

    async def ask(self, path: str, **query: Any) -> Any:
        answer = await self.registry.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def act(self, name: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        answer = await self.registry.client.post(f"/v1/customers/{self.ids[name]}{path}", json=body)
        return answer.status_code, answer.json()


async def pass_to(story: Story, hour: int) -> None:
    """Let an hour begin, and what was planned for it take effect."""

    async def work(connection: Connection) -> None:
        await set_replay(connection, moment(hour), Phase.SETTLE, hour)

    await story.registry.database.run(work, label="move the business time")
    while await story.registry.transactions.run(settle_due, label="test") is not None:
        pass


async def happen(story: Story, chance: random.Random, hour: int) -> None:
    """One command, given to the registry and painted."""
    one, other = chance.sample(NAMES, 2)
    picture, free = story.now, story.now.parents[one] is None
    match chance.choice(["assign", "assign", "assign", "override", "end", "merge", "split"]):
        case "merge":
            status, _ = await story.act(one, ":merge", into=story.ids[other], reason="a duplicate")
            possible = free and picture.parents[other] is None
            assert (status == 200) == possible
            picture.parents[one] = other if possible else picture.parents[one]
        case "split":
            status, _ = await story.act(one, ":split", reason="none")
            assert (status == 200) != free
            picture.parents[one] = None
        case "end":
            sequence = chance.randint(2, 12)
            status, ended = await story.act(one, f"/assignments/{sequence}:end", reason="early")
            if status == 200 and ended["changed"]:
                picture.layers[one].end(sequence, hour)
        case kind:
            await assign(story, chance, one, Kind.OVERRIDE if kind == "override" else Kind.ASSIGNED, hour)


async def assign(story: Story, chance: random.Random, name: str, kind: Kind, hour: int) -> None:
    tier, first = chance.choice(["gold", "silver", "standard"]), chance.choice([hour, chance.randrange(MOMENTS)])
    last = (
        chance.randint(1, MOMENTS) if kind is Kind.OVERRIDE else chance.choice([None, None, chance.randint(1, MOMENTS)])
    )
    dates = {"effective_from": moment(first).isoformat(), "effective_to": last and moment(last).isoformat()}
    status, answer = await story.act(name, "/assignments", tier=tier, kind=kind.value, reason="because", **dates)
    if story.now.parents[name] is not None:
        assert answer["code"] == "merged_customer"
        return
    sequence = answer["assignment"]["sequence"] if status in {200, 201} else 0
    painted = story.now.layers[name].assign(kind, tier, first, last, sequence)
    assert (status == 201) == (painted is True), answer
    assert (status == 200) == (painted is False), answer


@pytest.mark.parametrize("seed", range(4))
async def test_every_way_of_asking_gives_the_tier_of_the_pictures(registry: RegistryUnderTest, seed: int) -> None:
    chance = random.Random(seed)
    first = Story(registry, {})
    await pass_to(first, 0)
    story = Story(registry, {name: await registry.new_customer(f"{name} {seed}") for name in NAMES})
    for hour in range(MOMENTS):
        await pass_to(story, hour)
        for _ in range(chance.choice([0, 1, 1, 2])):
            await happen(story, chance, hour)
        story.hours[hour] = deepcopy(story.now)
        await read_feed(story)
        told = await told_states(story)
        for name in NAMES:
            assert story.fed[story.ids[name]] == story.tier(name, hour, hour)
            for at in (hour, chance.randint(hour, FOR_EVER)):
                assert believed(told, story.ids[name], at) == story.tier(name, at, hour), (name, at)
            await check_questions(story, name, hour, chance)


async def check_questions(story: Story, name: str, now: int, chance: random.Random) -> None:
    at, known = chance.randint(0, FOR_EVER), chance.randint(0, now)
    path = f"/v1/customers/{story.ids[name]}"
    asked = {"at": moment(at).isoformat(), "known_at": moment(known).isoformat()}
    assert (await story.ask(f"{path}/tier", **asked))["tier"] == story.tier(name, at, known), (name, at, known)
    for when in (now, at):
        explained = await story.ask(f"{path}/tier-explanation", at=moment(when).isoformat())
        assert explained["tier"] == story.tier(name, when, now), (name, when)
        served = [story.tier(name, each, now) for each in range(FOR_EVER + 1)]
        ahead = next((each for each in range(when + 1, FOR_EVER + 1) if served[each] != served[when]), None)
        coming = explained["next_change"]
        assert (coming and coming["at"]) == (None if ahead is None else utc(ahead)), (name, when)
        assert coming is None or coming["tier"] == served[ahead or 0]
        behind = next((each for each in range(when, 0, -1) if served[each] != served[each - 1]), None)
        if behind is not None:
            assert explained["since"] == utc(behind), (name, when)


def utc(hour: int) -> str:
    return moment(hour).isoformat()


async def read_feed(story: Story) -> None:
    more = True
    while more:
        query = {"limit": 3} | ({} if story.cursor is None else {"after": story.cursor})
        page = await story.ask("/v1/assignments", **query)
        story.fed |= {each["customer_id"]: each["tier"] for each in page["items"]}
        story.cursor, more = page["next_cursor"], page["more"]


async def told_states(story: Story) -> dict[str, SegmentCurrent]:
    """What the compacted topic holds of these customers."""
    told: dict[str, SegmentCurrent] = {}
    for customer in story.ids.values():
        for event in await story.registry.published(customer):
            if isinstance(event.payload, SegmentCurrent):
                told[customer] = event.payload
    return told


def believed(told: dict[str, SegmentCurrent], customer: str, hour: int) -> str:
    """The tier by the published states, as the guide for subscribers reads them."""
    state = told[customer]
    if state.merged_into is not None:
        return believed(told, state.merged_into, hour)
    at = moment(hour)
    counts = [
        each
        for each in state.assignments
        if each.effective_from <= at and (each.effective_to is None or at < each.effective_to)
    ]
    return max(counts, key=lambda each: each.kind == "override").tier if counts else "standard"
