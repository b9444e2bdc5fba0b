"""Runs the checks against an endpoint over HTTP, one after another, and tells what came of each."""

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import httpx

from tiercel.conformance.cases import Check, Different, checks
from tiercel.conformance.mapping import Call, EndpointMapping, MappingError, Operation, fill, find

ANSWER_SECONDS_MAX: Final = 20.0
TAKE_OVER_SECONDS_MAX: Final = 15.0  # of an `until`; an event has to travel from one service to another
TRIES_APART_SECONDS: Final = 0.1
DATA: Final = Path(__file__).resolve().parents[2] / "conformance"
Verdict = Literal["passed", "FAILED", "not offered"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a check."""

    name: str
    verdict: Verdict
    note: str = ""


@dataclass(slots=True)
class HttpEndpoint:
    """Carries operations out by a mapping. `servers` has the addresses by name, the first one under "" as well."""

    mapping: EndpointMapping
    servers: Mapping[str, httpx.AsyncClient]
    key: str
    run: str
    clips: bool = field(init=False)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.clips = not self.mapping.unclipped

    async def do(self, operation: Operation, **variables: Any) -> None:
        """Carry an operation out; one that the mapping does not have is nothing to do."""
        kept: dict[str, Any] = {}
        for call in self.mapping.operations.get(operation, []):
            names = self._variables({**variables, **kept})
            await self._send(call, names)
            kept |= {name: names[name] for name in call.keep}

    async def ask(self, operation: Operation, **variables: Any) -> Any:
        """Carry an operation out; the answer of its last call."""
        calls = self.mapping.operations[operation]
        names = self._variables(variables)
        for call in calls[:-1]:
            await self._send(call, names)
        last = calls[-1]
        document = await self._send(last, names)
        path = fill(last.answer or "", names)
        found = find(document, path)
        if found is None:
            found = last.missing
        if found is None:
            raise MappingError(f"{operation}: there is nothing at {path} of {json.dumps(document)[:500]}")
        return found

    def day(self, period: int) -> str:
        """The first day of a period."""
        return str(self._variables({"period": period})["date"])

    def _variables(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the operation, the day of its period, and a number that is new each time."""
        today = datetime.now(UTC).date()
        first = today + timedelta(days=self.mapping.first_period_in_days)
        day = first + timedelta(days=(given.get("period", 1) - 1) * self.mapping.days_per_period)
        always = {"run": self.run, "key": self.key, "number": next(self._numbers)}
        return {**always, "today": today.isoformat(), "date": day.isoformat(), **given}

    async def _send(self, call: Call, variables: dict[str, Any]) -> Any:
        """One call, or the same call until it says what is waited for; what it keeps is added to the variables."""
        document = await self._awaited(call, variables)
        variables |= {name: find(document, fill(path, variables)) for name, path in call.keep.items()}
        return document

    async def _awaited(self, call: Call, variables: Mapping[str, Any]) -> Any:
        async with asyncio.timeout(TAKE_OVER_SECONDS_MAX):
            while True:
                document = await self._once(call, variables)
                if call.until is None:
                    return document
                if find(document, fill(call.until.answer, variables)) == fill(call.until.equals, variables):
                    return document
                await asyncio.sleep(TRIES_APART_SECONDS)

    async def _once(self, call: Call, variables: Mapping[str, Any]) -> Any:
        path = fill(call.path, variables)
        if call.at not in self.servers:
            raise MappingError(f"{path} is at {call.at!r}; give its address as --url {call.at}=...")
        answer = await self.servers[call.at].request(
            call.method,
            path,
            json=None if call.body is None else fill(call.body, variables),
            headers={name: fill(value, variables) for name, value in self.mapping.headers.items()},
        )
        if not answer.is_success:
            raise Different(f"{call.method} {path} was answered {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None


async def run(endpoint: HttpEndpoint, cases: Mapping[str, Any]) -> list[Finding]:
    """Run every check that the mapping has the operations for."""
    return [await _run(endpoint, number, check) for number, check in enumerate(checks(cases), start=1)]


async def run_at(
    urls: Mapping[str, str], mapping: EndpointMapping, cases: Mapping[str, Any], *, key: str
) -> list[Finding]:
    """Run the checks at these addresses; the first one is where calls go that name none."""
    servers = {name: httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS_MAX) for name, url in urls.items()}
    try:
        named = {"": next(iter(servers.values())), **servers}
        run_name = datetime.now(UTC).strftime("%Y%m%d%H%M%S%f")
        return await run(HttpEndpoint(mapping, named, key, run_name), cases)
    finally:
        for server in servers.values():
            await server.aclose()


def read_cases(file: Path | None = None) -> dict[str, Any]:
    """The cases of a file; without one, those of this project."""
    cases: dict[str, Any] = json.loads((file or DATA / "cases.json").read_text())
    return cases


def told(findings: Sequence[Finding]) -> str:
    """A line for each finding, and the sum of them."""
    lines = [f"{each.verdict:<12} {each.name}{': ' if each.note else ''}{each.note}" for each in findings]
    counts = {
        verdict: sum(each.verdict == verdict for each in findings) for verdict in ("passed", "FAILED", "not offered")
    }
    return "\n".join([*lines, ", ".join(f"{count} {verdict}" for verdict, count in counts.items())])


async def _run(endpoint: HttpEndpoint, number: int, check: Check) -> Finding:
    lacking = [each for each in check.needs if each not in endpoint.mapping.operations]
    if lacking:
        return Finding(check.name, "not offered", f"needs {', '.join(lacking)}")
    try:
        await check.run(endpoint, f"conformance-{endpoint.run}-{number}")
    except (Different, MappingError) as error:
        return Finding(check.name, "FAILED", str(error))
    except TimeoutError:
        return Finding(check.name, "FAILED", f"nothing came of an operation within {TAKE_OVER_SECONDS_MAX:.0f} s")
    return Finding(check.name, "passed")
