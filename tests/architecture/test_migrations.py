"""The migrations of a service are one line of numbered steps."""

import re
from pathlib import Path

import pytest

SERVICES = Path(__file__).resolve().parents[2] / "services"
FOLDERS = sorted(SERVICES.glob("*/migrations/versions"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.parent.parent.name))
def test_each_step_follows_the_one_before(folder: Path) -> None:
    steps = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    assert [path.name[:4] for path in steps] == [f"{number:04}" for number in range(1, len(steps) + 1)]
    before = None
    for path in steps:
        named = dict(re.findall(r'^(revision|down_revision) = (?:"(\w+)"|None)$', path.read_text(), re.MULTILINE))
        assert named == {"revision": path.name[:4], "down_revision": before or ""}
        before = path.name[:4]


def test_every_service_has_migrations() -> None:
    assert [folder.parent.parent.name for folder in FOLDERS] == ["atp", "reclassifier", "segment_registry"]
