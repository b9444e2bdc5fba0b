"""Whether the registry has nothing left to do: what the driver of a replay waits for."""

from dataclasses import dataclass

from services.segment_registry.application.ports import RegistryReader


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is left to do as far as the database knows, and a count of everything ever done, which never falls."""

    activity: int
    events_unpublished: int
    proposals_waiting: int
    effects_waiting: int


async def backlog(reader: RegistryReader) -> Backlog:
    """Proposals and planned changes that wait for a replay to settle are no backlog while it collects."""
    collecting = await reader.collecting()
    proposals = 0 if collecting else await reader.proposals_waiting()
    effects = 0 if collecting else await reader.effects_waiting()
    if not collecting and await reader.due_tier_plan(await reader.now()) is not None:
        effects += 1
    return Backlog(await reader.audit_position(), await reader.events_unpublished(), proposals, effects)
