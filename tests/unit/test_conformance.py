"""The conformance suite runs against any endpoint that a mapping describes, and finds what is wrong with one."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.foreign_planner import planner
from tiercel.commands.conformance import named
from tiercel.conformance.cases import checks
from tiercel.conformance.mapping import EndpointMapping, MappingError, fill, find, read_mapping
from tiercel.conformance.run import Finding, HttpEndpoint, read_cases, run, told

PROJECT = Path(__file__).resolve().parents[2]
FOREIGN = PROJECT / "tests" / "support" / "foreign_planner.toml"
DAYS = [{"day": "2026-01-01", "left": 5}, {"day": "2026-01-04", "left": 9}]


async def found_at(app: Any, mapping: EndpointMapping, key: str = "let-me-in") -> list[Finding]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://planner") as client:
        return await run(HttpEndpoint(mapping, {"": client}, key, "r1"), read_cases())


async def test_every_case_passes_at_a_foreign_endpoint_that_is_right() -> None:
    findings = await found_at(planner(), read_mapping(FOREIGN))
    assert [each for each in findings if each.verdict != "passed"] == []
    assert len(findings) == len(checks(read_cases())) == 16


async def test_an_endpoint_that_ignores_protections_fails_where_it_does() -> None:
    findings = await found_at(planner(honours_kept=False), read_mapping(FOREIGN))
    failed = {each.name: each.note for each in findings if each.verdict == "FAILED"}
    assert failed == {
        "protection/P1": "what A3 is confirmed: expected 40, got 100",
        "protection/P7": "what each group is confirmed of the total: expected [30, 10, 30, 40, 50, 20, 20], "
        "got [200, 200, 200, 200, 200, 200, 200]",
    }
    assert told(findings).endswith("14 passed, 2 FAILED, 0 not offered")


async def test_an_endpoint_that_lets_nobody_in_fails_with_its_answer() -> None:
    findings = await found_at(planner(), read_mapping(FOREIGN), key="wrong")
    assert {each.verdict for each in findings} == {"FAILED"}
    assert all("was answered 401" in each.note for each in findings)


async def test_what_an_endpoint_does_not_offer_is_told_apart() -> None:
    whole = read_mapping(FOREIGN)
    less = whole.model_copy(update={"operations": {"item": [], "ask": whole.operations["ask"]}})
    findings = await found_at(planner(), less)
    assert {each.verdict for each in findings} == {"not offered"}
    assert findings[-1] == Finding("reprocess/B1", "not offered", "needs supply, order, cancel, arrival")


async def test_an_answer_that_is_not_where_the_mapping_says_is_a_failure() -> None:
    whole = read_mapping(FOREIGN)
    astray = whole.operations["ask"][0].model_copy(update={"answer": "reply.7.yes"})
    findings = await found_at(planner(), whole.model_copy(update={"operations": {**whole.operations, "ask": [astray]}}))
    (p1,) = [each for each in findings if each.name == "protection/P1"]
    assert p1.note == 'ask: there is nothing at reply.7.yes of {"reply": [{"yes": 40}]}'


def test_our_own_mapping_is_one() -> None:
    assert read_mapping(PROJECT / "conformance" / "tiercel.yaml").name == "tiercel"


@pytest.mark.parametrize("text", ["name: x", "name: x\noperations: {dance: []}", "name: [", "operations: {}\nname: 3"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(text)
    with pytest.raises(MappingError):
        read_mapping(file)


def test_a_text_that_is_one_variable_keeps_its_kind() -> None:
    filled = fill({"q": "{quantity}", "at": ["on {date}", 3]}, {"quantity": 5, "date": "2026-01-01"})
    assert filled == {"q": 5, "at": ["on 2026-01-01", 3]}
    with pytest.raises(MappingError, match="there are quantity"):
        fill("{nothing}", {"quantity": 5})


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("days.0.left", 5),
        ("days.-1.left", 9),
        ("days.day=2026-01-04.left", 9),
        ("days.day<=2026-01-03.left", 5),
        ("days.day=2026-01-02.left", None),
        ("days.2.left", None),
        ("days.first.left", None),
        ("nothing.0", None),
        ("days.0.left.more", None),
    ],
)
def test_a_path_leads_to_an_answer_or_nowhere(path: str, there: int | None) -> None:
    assert find({"days": DAYS}, path) == there


def test_the_first_address_needs_no_name() -> None:
    assert named(["http://a", "registry=http://b"]) == {"first": "http://a", "registry": "http://b"}
    assert list(named(["registry=http://b?x=1", "http://a?x=1"])) == ["first", "registry"]
