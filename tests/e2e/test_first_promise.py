"""The guide to the first promise: its commands are taken from the page and run, as a newcomer would."""

import json
from pathlib import Path

import pytest

from tests.support.guides import SECONDS_MAX, follow
from tests.support.serve import Served


@pytest.mark.timeout(SECONDS_MAX + 60)  # some twenty commands, each a process of its own
def test_the_guide_leads_to_a_promise(served: Served, tmp_path: Path) -> None:
    told = follow("first-promise.md", served, tmp_path)
    assert "1 rows: 1 would be sent, 0 set aside" in told
    assert "1 positions compared, 0 differ" in told
    promise = json.loads((tmp_path / "mine" / "promise.json").read_text())
    assert promise["zone"] == "GB-HIGHLANDS"
    assert [line["promised"] for line in promise["lines"]] == [36]  # in time or not: that depends on the holidays
