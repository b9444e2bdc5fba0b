"""schemas/ and the rendered reference are what the code says, and what is published stays."""

import asyncio
import importlib
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource

from services.contracts import guarantees, topics
from services.contracts.catalogue import ALL, EventRefused, EventType, decode
from services.contracts.promises import LineOutcome
from tiercel.schemas import __main__ as command
from tiercel.schemas.examples import VALID, invalid_payloads
from tiercel.schemas.limits import LIMITS, Limit
from tiercel.schemas.openapi import Described, describe_services
from tiercel.schemas.published import edits, publish, read_manifest
from tiercel.schemas.reference import OUTCOMES, reading_routes
from tiercel.schemas.rendering import Rendered, Roots, event_schemas, problems, render, render_events, write
from tiercel.schemas.staleness import STALENESS

PROJECT = Path(__file__).parents[2]
ROOT = PROJECT / "schemas"
VENDORED = Path(__file__).parents[1] / "support" / "vendored"
FORMATS = FormatChecker(formats=["date"])


@FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def _validator(event_type: EventType) -> Draft202012Validator:
    schema = json.loads((ROOT / "events" / event_type.stem / f"v{event_type.version}.json").read_bytes())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FORMATS)


@pytest.fixture(scope="module")
def services(database_url: str) -> dict[str, Described]:
    return asyncio.run(describe_services(database_url))


@pytest.fixture(scope="module")
def rendered(services: dict[str, Described]) -> Rendered:
    return render(services)


def test_what_is_checked_in_is_what_the_code_renders(rendered: Rendered) -> None:
    assert problems(Roots(ROOT, PROJECT / "docs" / "reference"), rendered) == []


def test_rendering_again_gives_the_same_bytes(rendered: Rendered, database_url: str) -> None:
    assert render(asyncio.run(describe_services(database_url))) == rendered


@pytest.mark.parametrize("event_type", ALL, ids=lambda one: one.name)
def test_valid_examples_are_valid_by_schema_and_by_model(event_type: EventType) -> None:
    validator = _validator(event_type)
    assert VALID[event_type.name]
    for payload in VALID[event_type.name].values():
        assert list(validator.iter_errors(payload)) == []
        decode(event_type.name, json.dumps(payload).encode(), topic=event_type.topic.name)


@pytest.mark.parametrize(
    ("event_type", "name", "payload"),
    [(one, name, payload) for one in ALL for name, payload in invalid_payloads(one).items()],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "name", ""),
)
def test_invalid_examples_are_invalid_by_schema_and_by_model(
    event_type: EventType, name: str, payload: dict[str, Any]
) -> None:
    assert not _validator(event_type).is_valid(payload), name
    with pytest.raises(EventRefused):
        decode(event_type.name, json.dumps(payload).encode())


@pytest.mark.parametrize("event_type", ALL, ids=lambda one: one.name)
def test_a_schema_is_named_as_the_envelope_names_it(event_type: EventType) -> None:
    schema = json.loads((ROOT / "events" / event_type.stem / f"v{event_type.version}.json").read_bytes())
    assert schema["$id"] == event_type.dataschema
    assert re.fullmatch(r"urn:tiercel:schema:[a-z._]+\.v\d+", schema["$id"])


def test_every_topic_has_one_page_and_carries_something() -> None:
    assert [one.topic for one in guarantees.ALL] == list(topics.ALL)
    for topic in topics.ALL:
        page = yaml.safe_load((ROOT / "topics" / f"{topic.name}.yaml").read_text())
        assert page["events"], topic.name
        assert page["owner"] in {"atp", "segment_registry", "reclassifier", "every service, each for its own trail"}
        for event in page["events"]:
            assert all((ROOT / "topics" / path).is_file() for path in [event["schema"], *event["examples"]])


def test_the_asyncapi_document_is_valid_and_its_references_lead_somewhere() -> None:
    document = yaml.safe_load((ROOT / "asyncapi.yaml").read_text())
    meta = json.loads((VENDORED / "asyncapi-3.0.0.json").read_bytes())
    assert list(Draft7Validator(meta).iter_errors(document)) == []
    resolver = Registry().with_resource("", Resource.opaque(document)).resolver()
    for reference in _references(document):
        if reference.startswith("#"):
            resolver.lookup(reference)
        else:
            assert (ROOT / reference).is_file(), reference


def _references(node: object) -> list[str]:
    if isinstance(node, list):
        return [found for part in node for found in _references(part)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for part in node.values() for found in _references(part)]


@pytest.mark.parametrize("name", ["atp", "segment_registry", "reclassifier"])
def test_the_api_description_of_each_service_is_valid_openapi(name: str) -> None:
    document = json.loads((ROOT / "openapi" / f"{name}.json").read_bytes())
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    assert all(operation["security"] for operation in operations)


def test_every_outcome_has_its_meaning_in_the_reference() -> None:
    assert list(OUTCOMES) == list(LineOutcome)


def test_every_read_has_its_staleness_in_the_reference(services: dict[str, Described]) -> None:
    reads = {(name, path) for name, described in services.items() for path in reading_routes(described.openapi)}
    assert set(STALENESS) == reads


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.what)
def test_every_limit_names_the_constant_that_states_it(limit: Limit) -> None:
    module, _, name = limit.source.rpartition(".")
    stated = getattr(importlib.import_module(f"services.{module}"), name)
    if isinstance(stated, int):
        assert stated == limit.number
    else:
        assert str(limit.number) in str(stated)


def test_a_file_that_was_edited_by_hand_is_reported(tmp_path: Path) -> None:
    roots = Roots(tmp_path / "schemas", tmp_path / "reference")
    files = Rendered(render_events(), {"page.md": b"text"})
    write(roots, files)
    assert problems(roots, files) == []
    (roots.schemas / "asyncapi.yaml").write_text("asyncapi: 3.0.0\n")
    (roots.schemas / "events" / "stray.json").write_text("{}")
    (roots.schemas / "topics" / "orders.v1.yaml").unlink()
    (roots.reference / "page.md").write_text("other text")
    (roots.reference / "written.md").write_text("by a person")
    found = [problem.split(" ")[0] for problem in problems(roots, files)]
    assert found == ["asyncapi.yaml", "topics/orders.v1.yaml", "page.md", "events/stray.json"]
    write(roots, files)
    assert problems(roots, files) == []


def test_an_edit_of_a_published_version_is_reported(tmp_path: Path) -> None:
    schemas = event_schemas()
    assert set(publish(tmp_path, schemas)) == set(schemas)
    assert publish(tmp_path, schemas) == []
    edited = {**schemas, "order.confirmed.v1": {**schemas["order.confirmed.v1"], "required": []}}
    del edited["tier.policy.v1"]
    found = list(edits(read_manifest(tmp_path), edited))
    assert [sentence.split(" ")[0] for sentence in found] == ["order.confirmed.v1", "tier.policy.v1"]


def test_correcting_a_sentence_in_a_published_version_is_no_edit(tmp_path: Path) -> None:
    schemas = event_schemas()
    publish(tmp_path, schemas)
    reworded = {**schemas["order.confirmed.v1"], "description": "other words"}
    assert list(edits(read_manifest(tmp_path), {**schemas, "order.confirmed.v1": reworded})) == []


def test_publishing_never_changes_what_is_published(tmp_path: Path) -> None:
    schemas = event_schemas()
    publish(tmp_path, schemas)
    before = read_manifest(tmp_path)
    publish(tmp_path, {**schemas, "order.confirmed.v1": {}})
    assert read_manifest(tmp_path) == before


def test_the_command_writes_checks_and_publishes(
    tmp_path: Path, services: dict[str, Described], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "describe_services_by_themselves", lambda: services)
    places = ["--root", str(tmp_path / "schemas"), "--reference", str(tmp_path / "reference")]
    assert command.main(places) == 0
    assert command.main([*places, "--check"]) == 0
    assert command.main([*places, "--publish"]) == 0
    assert "published order.placed.v1" in capsys.readouterr().out
    (tmp_path / "schemas" / "asyncapi.yaml").unlink()
    assert command.main([*places, "--check"]) == 1
    assert "asyncapi.yaml is missing" in capsys.readouterr().err
