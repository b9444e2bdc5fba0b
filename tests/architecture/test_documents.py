"""The documents lead somewhere, and name no machine of their writers."""

import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is on the PATH of everybody
    cwd=PROJECT,
    capture_output=True,
    text=True,
    check=True,
).stdout.split("\n")
DOCUMENTS = sorted(name for name in TRACKED if name.endswith(".md"))
TEXTS = sorted(
    name for name in TRACKED if re.search(r"(\.(py|md|ya?ml|toml|lock|json|xml|sh|txt)|Makefile|run|Dockerfile)$", name)
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
ELSEWHERE = re.compile(
    r"(?<![\w.])/(?:home|root|Users|work)/\w|--(?:extra-)?index-url|registry\.npmjs|files\.pythonhosted"
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_leads_to_a_file(document: str) -> None:
    path = PROJECT / document
    links = [link for link in LINK.findall(path.read_text()) if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("name", TEXTS)
def test_no_file_names_a_machine_or_a_download_address(name: str) -> None:
    if (PROJECT / name) != Path(__file__) and (PROJECT / name).exists():
        assert ELSEWHERE.findall((PROJECT / name).read_text()) == []
