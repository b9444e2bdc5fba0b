"""Blocks of customers: what credit and compliance say. Each change is kept with its author and reason, for ever."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from services.atp.application.content import CustomerKey
from services.atp.domain.validation_rules import Block, BlockKind, Effect


class BlockPlace(NamedTuple):
    """A block's key; also the order of the list."""

    system: str
    id: str
    kind: str


@dataclass(frozen=True, slots=True)
class BlockChange:
    """A block is set, or lifted (`effect` None). `version` None is the next one."""

    customer: CustomerKey
    kind: BlockKind
    effect: Effect | None
    effective_to: datetime | None
    reason: str
    author: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class CustomerBlock:
    """A block until a moment (exclusive, None = open)."""

    block: Block
    effective_to: datetime | None


class CustomerBlocks(Protocol):
    """Keeps blocks; each method is one transaction."""

    async def store(self, changes: Sequence[BlockChange]) -> int:
        """Write changes, all or none; how many were newer than what is stored."""
        ...

    async def page(self, after: BlockPlace | None, limit: int) -> list[dict[str, Any]]:
        """Blocks that are set, by customer and kind."""
        ...

    async def history(self, customer: CustomerKey) -> list[dict[str, Any]]:
        """Every change of a customer's blocks, oldest first, under the given name only."""
        ...


def blocks_at(blocks: Sequence[CustomerBlock], now: datetime) -> tuple[Block, ...]:
    """The blocks in force, one of each kind: of several, given under several names, one that refuses counts."""
    by_kind: dict[str, Block] = {}
    for each in blocks:
        is_over = each.effective_to is not None and each.effective_to <= now
        if not is_over and (each.block.kind not in by_kind or each.block.effect == "refuse"):
            by_kind[each.block.kind] = each.block
    return tuple(by_kind[kind] for kind in sorted(by_kind))
