"""Profiles by function: where the processor time of a process goes, beside the figure that it explains.

How to read one (in the bench's file under `profiles`, and printed):

* It is of a round of its own, never of a measured one: counting every call makes the process about half as fast. Shares
  are what it says; microseconds are of the profiled round. Calls of many small functions look dearer than they are.
* `own` is the time within a function, `cumulative` that with all that it calls. Own shares add up to the whole.
* A compiled function (of `orjson`, `pydantic_core`, `asyncpg` ...) counts to its library's group; one of the language
  itself (`len`, `list.append` ...) to the group of whoever called it.
* "the event loop itself" is what the process used outside of any function of Python: uvloop's own work, and what
  compiled protocols do when bytes come (the PostgreSQL driver reads its answers there). On a busy machine it is too
  small, for the functions' times go on while the process waits for a processor.
* `collections` are pauses of the garbage collector by generation; their time is within the functions that they hit.
"""

import asyncio
import marshal
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.profiled import FOLDER
from tiercel.stack.deployment import Deployment, Running, Wanted

FUNCTIONS_SHOWN: Final = 30
FUNCTIONS_PRINTED: Final = 12
WRITTEN_SECONDS_MAX: Final = 30.0
WRITTEN_POLL_SECONDS: Final = 0.05
NOT_PROFILED: Final = ("segment_registry",)  # it has nothing to do with orders
SHARE_SHOWN_MIN: Final = 0.05  # of the processor time of all that were profiled
LOOP: Final = "the event loop itself"
GROUPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("documents", ("application/documents", "application/content", "application/revision", "orjson", "/json/")),
    ("validation", ("pydantic", "services/contracts", "chassis/strict_json", "atp/entrypoints")),
    ("edge", ("chassis/edge", "chassis/http", "chassis/server", "chassis/auth", "chassis/rate_limit", "chassis/logs")),
    ("edge", ("chassis/metrics", "chassis/tracing", "chassis/problem", "uvicorn", "starlette", "fastapi", "httptools")),
    ("edge", ("prometheus_client", "structlog")),
    ("event log", ("aiokafka", "chassis/consumer", "chassis/envelope", "chassis/event_log", "chassis/isolation")),
    ("asyncio", ("asyncio", "uvloop", "atp/application/engine", "atp/application/queues", "atp/application/inquiries")),
    ("driver", ("asyncpg", "chassis/database", "chassis/arrays", "chassis/writes", "chassis/outbox", "chassis/inbox")),
    ("driver", ("chassis/idempotency", "chassis/business_time", "chassis/relay_rows", "/adapters/")),
    ("decide", ("/domain/", "/application/", "chassis/ids")),
)
"""Which part of the work a file or a compiled library is of; the first that fits."""
Function = tuple[str, int, str]  # file, line, name


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of one process went in one case; shares are of its processor time."""

    case: str
    process: str
    pieces: int
    processor_us: float  # a piece of work, while it was profiled
    groups: Mapping[str, float]
    functions: Sequence[Mapping[str, Any]]
    collections: Mapping[str, Any]


@dataclass(slots=True)
class Profiles:
    """Takes profiles of a deployment whose processes `profiled` has changed; those that did little are left out."""

    folder: Path
    taken: list[Profile] = field(default_factory=list)

    def profiled(self, wanted: Sequence[Wanted]) -> tuple[Wanted, ...]:
        """The same processes, so started that they can be profiled."""
        environment = {FOLDER: str(self.folder)}
        return tuple(
            each
            if each.service in NOT_PROFILED
            else Wanted(each.service, each.roles, {**each.environment, **environment}, ("-m", "bench.profiled"))
            for each in wanted
        )

    async def take(self, case: str, deployment: Deployment, work: Callable[[], Awaitable[int]]) -> None:
        """Have the work done once more, with the profile on; it says how many pieces it had."""
        running = [each for each in deployment.processes if each.wanted.launcher]
        for each in running:
            each.process.send_signal(signal.SIGUSR1)
        pieces = await work()
        for each in running:
            each.process.send_signal(signal.SIGUSR2)
        found = [_profile(case, each, pieces, await self._found(each)) for each in running]
        least = SHARE_SHOWN_MIN * sum(profile.processor_us for profile in found)
        self.taken += [profile for profile in found if profile.processor_us >= least]

    async def _found(self, running: Running) -> dict[str, Any]:
        path = self.folder / f"{running.process.pid}.profile"
        async with asyncio.timeout(WRITTEN_SECONDS_MAX):
            # Its writer says nothing when it is there.
            while not await asyncio.to_thread(path.exists):  # noqa: ASYNC110
                await asyncio.sleep(WRITTEN_POLL_SECONDS)
        found: dict[str, Any] = marshal.loads(path.read_bytes())  # noqa: S302 - written by our own process
        path.unlink()
        return found


def show(profile: Profile) -> None:
    """Print a profile, shortened."""
    print(f"\nprofile: {profile.case}, {profile.process}: {profile.processor_us:,.0f} us a piece while profiled")
    print("  " + ", ".join(f"{group} {share:.0%}" for group, share in profile.groups.items()))
    for each in profile.functions[:FUNCTIONS_PRINTED]:
        print(
            f"  own {each['own']:6.1%}  cumulative {each['cumulative']:6.1%}  {each['calls']:8.2f}x  {each['function']}"
        )
    if profile.collections:
        print(f"  garbage collection: {profile.collections}")


def _profile(case: str, running: Running, pieces: int, found: Mapping[str, Any]) -> Profile:
    functions: Mapping[Function, Any] = found["functions"]
    seen = sum(own for _, _, own, _, _ in functions.values())
    whole = max(found["processor_seconds"], seen, 1e-9)
    groups = {LOOP: whole - seen}
    for function, entry in functions.items():
        for group, own in _by_group(function, entry):
            groups[group] = groups.get(group, 0.0) + own
    rows = sorted(functions.items(), key=lambda row: -row[1][2])[:FUNCTIONS_SHOWN]
    return Profile(
        case=case,
        process=" ".join((running.wanted.service, *running.wanted.roles)),
        pieces=pieces,
        processor_us=round(found["processor_seconds"] * 1e6 / max(1, pieces), 1),
        groups={name: round(own / whole, 4) for name, own in sorted(groups.items(), key=lambda each: -each[1])},
        functions=[
            {
                "function": _name(function),
                "own": round(own / whole, 4),
                "cumulative": round(cumulative / whole, 4),
                "calls": round(calls / max(1, pieces), 3),
            }
            for function, (_, calls, own, cumulative, _) in rows
        ],
        collections=_collections(found["collections"]),
    )


def _by_group(function: Function, entry: Any) -> list[tuple[str, float]]:
    """The parts of the work that a function's own time is of."""
    _, _, own, _, callers = entry
    group = _group(function)
    if group is not None:
        return [(group, own)]
    if function[0] == "~" and callers:
        return [(_group(caller) or "other", part[2]) for caller, part in callers.items()]
    return [("other", own)]


def _group(function: Function) -> str | None:
    file, _, name = function
    place = name if file == "~" else file
    return next((group for group, places in GROUPS if any(each in place for each in places)), None)


def _name(function: Function) -> str:
    file, line, name = function
    if file == "~":
        return name
    path = Path(file)
    known = next((root for root in ("services", "tiercel", "site-packages") if root in path.parts), None)
    place = path.name if known is None else "/".join(path.parts[path.parts.index(known) :])
    return f"{place.removeprefix('site-packages/')}:{line} {name}"


def _collections(collections: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """Pauses by generation: how many, all together and the longest, in milliseconds."""
    found: dict[str, Any] = {}
    for generation in sorted({each for each, _ in collections}):
        pauses = [seconds * 1e3 for each, seconds in collections if each == generation]
        found[str(generation)] = {
            "count": len(pauses),
            "whole_ms": round(sum(pauses), 1),
            "longest_ms": round(max(pauses), 1),
        }
    return found
