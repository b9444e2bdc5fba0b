"""The guide to backorder processing, followed as it stands."""

from pathlib import Path

import pytest

from tests.support.guides import SECONDS_MAX, follow
from tests.support.serve import Served


@pytest.mark.timeout(SECONDS_MAX + 60)
def test_the_guide_lets_bronze_fall_for_gold(served: Served, tmp_path: Path) -> None:
    told = follow("backorder-processing.md", served, tmp_path)
    assert "bronze was promised 10\n" in told
    assert "gold has 10, bronze has 0\n" in told
    assert "GOLD lacks 2\n" in told
    assert "before the run gold has 0, silver has 5\n" in told
    assert "after the run gold has 4, silver has 1\n" in told
    assert "gained 4, lost 4\n" in told
    assert "Orders of tier GUIDE-GOLD are served first" in told
    assert "4 cups are set aside for OLD\n" in told
    assert "NEW was promised 0\n" in told
    assert "OLD has 10\n" in told
