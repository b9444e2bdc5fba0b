"""A mapping file: how an endpoint is set up and asked, and where its answers are. YAML or TOML.

conformance/README.md describes it. Texts hold variables in braces. A text that is one variable keeps its kind:
"{quantity}" becomes the number 5, "on {date}" a text. A path to an answer is made of steps between dots: a name, a
place in a list (0 is the first, -1 the last), or a choice in a list: `day=2026-01-05` (the first member whose `day` is
that) or `day<=2026-01-05` (the last whose `day` is not greater).
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Operation = Literal[
    "item",
    "stock",
    "supply",
    "demand",
    "demand_done",
    "group",
    "protect",
    "protect_percent",
    "tree",
    "projected",
    "atp",
    "period",
    "backward",
    "backward_accumulate",
    "backward_then_forward",
    "ask",
    "take_at_node",
    "share_out",
    "share",
    "order",
    "cancel",
    "arrival",
]
_ONE_VARIABLE: Final = re.compile(r"\{(\w+)\}")
_CHOICE: Final = re.compile(r"(?P<name>\w+)(?P<how><=|=)(?P<value>.*)")


class MappingError(Exception):
    """The mapping file, or the answer of an endpoint, is not as it has to be; the sentence says what to change."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Until(_Strict):
    """Send the call again until its answer at `answer` is `equals`, for endpoints that take over in their own time."""

    answer: str
    equals: Any


class Call(_Strict):
    """One request. `at` names one of the addresses given by `--url`; the last call of an operation has its answer."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: str
    at: str = ""
    body: Any = None
    answer: str | None = None
    missing: int | None = Field(default=None, description="the answer, where there is nothing at its path")
    until: Until | None = None
    keep: dict[str, str] = Field(default={}, description="variables of the operation's later calls, by paths")


class EndpointMapping(_Strict):
    """A whole mapping. An operation that is not in it is not offered, and cases that need it are told apart."""

    name: str
    headers: dict[str, str] = {}
    first_period_in_days: int = Field(default=1, ge=0, description="the first day of period 1, counted from today")
    days_per_period: int = Field(default=1, ge=1)
    unclipped: bool = Field(default=False, description="`atp` answers may be negative")
    operations: dict[Operation, list[Call]]


def read_mapping(file: Path) -> EndpointMapping:
    """A mapping from a file.

    Raises:
        MappingError: it is not one.
    """
    try:
        text = file.read_text()
        document = tomllib.loads(text) if file.suffix == ".toml" else yaml.safe_load(text)
        return EndpointMapping.model_validate(document)
    except (ValidationError, yaml.YAMLError, tomllib.TOMLDecodeError) as error:
        raise MappingError(f"{file}: {error}") from error


def fill(template: Any, variables: Mapping[str, Any]) -> Any:
    """A body or text with its variables put in.

    Raises:
        MappingError: a variable is not known to this operation.
    """
    if isinstance(template, dict):
        return {name: fill(value, variables) for name, value in template.items()}
    if isinstance(template, list):
        return [fill(value, variables) for value in template]
    if not isinstance(template, str):
        return template
    whole = _ONE_VARIABLE.fullmatch(template)
    if whole is not None:
        return _value(whole[1], variables)
    return _ONE_VARIABLE.sub(lambda found: str(_value(found[1], variables)), template)


def find(document: Any, path: str) -> Any:
    """What is at a path; None if there is nothing."""
    found = document
    for step in path.split("."):
        if isinstance(found, list):
            found = _member(found, step)
        elif isinstance(found, dict):
            found = found.get(step)
        else:
            return None
    return found


def _value(name: str, variables: Mapping[str, Any]) -> Any:
    if name not in variables:
        raise MappingError(f"{{{name}}} is not known here; there are {', '.join(sorted(variables))}")
    return variables[name]


def _member(members: list[Any], step: str) -> Any:
    choice = _CHOICE.fullmatch(step)
    if choice is not None:
        name, value = choice["name"], choice["value"]
        if choice["how"] == "=":
            return next((each for each in members if str(each.get(name)) == value), None)
        return next((each for each in reversed(members) if str(each.get(name)) <= value), None)
    try:
        return members[int(step)]
    except (ValueError, IndexError):
        return None
