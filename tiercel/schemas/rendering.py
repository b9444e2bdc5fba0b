"""All files of schemas/ and of the rendered reference as bytes, and how they differ from what is checked in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from services.chassis.metrics import render_reference
from services.chassis.relay_metrics import RelayMetrics
from services.contracts import guarantees
from services.contracts.catalogue import ALL, CATALOGUE
from tiercel.schemas.asyncapi import asyncapi_document
from tiercel.schemas.documents import Document, json_bytes, yaml_bytes
from tiercel.schemas.events import event_path, event_schema
from tiercel.schemas.examples import VALID, example_documents
from tiercel.schemas.openapi import Described
from tiercel.schemas.published import MANIFEST, edits, read_manifest, unreadable_successors
from tiercel.schemas.reference import REFERENCE_PATH, reference_page
from tiercel.schemas.summary import SUMMARY_PATH, summary_schema
from tiercel.schemas.topics import topic_document

METRICS_PATH: Final = "metrics.md"
Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is rendered: the folder of schemas, which holds nothing else, and pages beside written ones."""

    schemas: Files
    reference: Files


@dataclass(frozen=True, slots=True)
class Roots:
    """Where it goes."""

    schemas: Path
    reference: Path


def event_schemas() -> dict[str, Document]:
    """The schema of every event type, by its name."""
    return {event_type.name: event_schema(event_type) for event_type in ALL}


def render(services: Mapping[str, Described]) -> Rendered:
    """Every file below schemas/ but the manifest of published versions, and the rendered pages of the reference."""
    openapi = {name: described.openapi for name, described in services.items()}
    metrics = {name: described.metrics for name, described in services.items()}
    metrics["every relay"] = _relay_metrics()
    files = render_events()
    files |= {f"openapi/{name}.json": json_bytes(document) for name, document in openapi.items()}
    return Rendered(files, {REFERENCE_PATH: reference_page(openapi), METRICS_PATH: render_reference(metrics).encode()})


def render_events() -> dict[str, bytes]:
    """What needs no service: events, topics, examples, AsyncAPI, the summary of a replay."""
    schemas = event_schemas()
    examples = {name: dict(payloads) for name, payloads in VALID.items()}
    files = {event_path(one): json_bytes(schemas[one.name]) for one in ALL}
    files |= {path: json_bytes(body) for path, body in example_documents().items()}
    files |= {f"topics/{one.topic.name}.yaml": yaml_bytes(topic_document(one)) for one in guarantees.ALL}
    files["asyncapi.yaml"] = yaml_bytes(asyncapi_document(version("tiercel"), examples))
    files[SUMMARY_PATH] = json_bytes(summary_schema())
    return files


def write(roots: Roots, rendered: Rendered) -> None:
    """Make the folder of schemas hold exactly these files and the manifest, and replace the rendered pages."""
    for path in _surplus(roots.schemas, rendered.schemas):
        (roots.schemas / path).unlink()
    for root, files in ((roots.schemas, rendered.schemas), (roots.reference, rendered.reference)):
        for path, body in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)


def problems(roots: Roots, rendered: Rendered) -> list[str]:
    """What is wrong with what is checked in, a sentence each; empty if all is well."""
    return [
        *_drift(roots.schemas, rendered.schemas),
        *_drift(roots.reference, rendered.reference),
        *(f"{path} is rendered by nothing: run make schemas" for path in _surplus(roots.schemas, rendered.schemas)),
        *edits(read_manifest(roots.schemas), event_schemas()),
        *unreadable_successors(CATALOGUE, event_schemas()),
    ]


def _relay_metrics() -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    RelayMetrics(registry)
    return registry


def _drift(root: Path, files: Files) -> Iterator[str]:
    for path, body in sorted(files.items()):
        target = root / path
        if not target.exists():
            yield f"{path} is missing: run make schemas"
        elif target.read_bytes() != body:
            yield f"{path} is not what the code renders: run make schemas"


def _surplus(root: Path, files: Files) -> list[str]:
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(path for path in found if path not in files and path != MANIFEST and not path.startswith("."))
