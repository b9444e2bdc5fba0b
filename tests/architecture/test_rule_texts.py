"""What validators say is passed on to whoever sent the value, and to dead letters: so it is a text of ours alone."""

import ast
from pathlib import Path

import pytest

SERVICES = Path(__file__).resolve().parents[2] / "services"
SAID_THERE = [path for path in SERVICES.rglob("*.py") if "broken_rule(" in path.read_text()]
PASSED_ON = sorted({*SAID_THERE, *SERVICES.glob("contracts/*.py"), *SERVICES.glob("*/entrypoints/*.py")})
FROZEN = {"published_supply.py", "catalogue.py"}
"""A published version stays as it is, and what the catalogue refuses of itself is no payload."""


def _calls(path: Path, name: str) -> list[ast.Call]:
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [call for call in found if isinstance(call.func, ast.Name) and call.func.id == name]


def _is_ours(text: ast.expr) -> bool:
    """A text that is written there, with nothing put into it but limits that have a name."""
    if isinstance(text, ast.JoinedStr):
        put_in = [part.value for part in text.values if isinstance(part, ast.FormattedValue)]
        return all(isinstance(value, ast.Name) and value.id.isupper() for value in put_in)
    return isinstance(text, ast.Constant) and isinstance(text.value, str)


@pytest.mark.parametrize("path", PASSED_ON, ids=lambda path: str(path.relative_to(SERVICES)))
def test_a_rule_is_said_in_words_that_hold_no_value(path: Path) -> None:
    said = [call.args for call in _calls(path, "broken_rule")]
    assert [ast.unparse(args[0]) for args in said if len(args) != 1 or not _is_ours(args[0])] == []
    hidden = [] if path.name in FROZEN else _calls(path, "ValueError")
    assert [call.lineno for call in hidden] == []  # nobody would be told that text


def test_there_are_rules_to_look_at() -> None:
    assert sum(len(_calls(path, "broken_rule")) for path in PASSED_ON) > 60
