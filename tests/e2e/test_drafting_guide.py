"""The guide to drafts of tiers, followed as it stands: written, edited, compared, and planned for tomorrow."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.guides import SECONDS_MAX, follow
from tests.support.serve import Served


@pytest.mark.timeout(SECONDS_MAX + 60)
def test_the_guide_leads_from_a_draft_to_a_plan(served: Served, tmp_path: Path) -> None:
    follow("drafting-a-tier.md", served, tmp_path)

    def read(name: str) -> Any:
        return json.loads((tmp_path / "drafted" / f"{name}.json").read_text())

    assert [read(name)["state"] for name in ("draft", "edited", "applied")] == ["draft", "draft", "applied"]
    assert [read(name)["revision"] for name in ("draft", "edited")] == [1, 2]
    [difference] = read("effects")["differences"]
    assert difference["path"] == "/policy/micro_segments"
    assert (difference["before"], [each["name"] for each in difference["after"]]) == ([], ["now-and-then"])
    versions = read("versions")
    [plan] = versions["planned"]
    assert plan["request_id"] == read("draft")["request_id"]
    assert plan["definition"]["policy"]["micro_segments"][0]["policy"]["lead_time_days"] == 6
    assert [each["definition"]["version"] for each in versions["versions"]] == [1]
    assert versions["requests"] == []
