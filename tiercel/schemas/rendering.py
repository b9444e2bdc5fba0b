"""All files of schemas/ as bytes, and how they differ from what is checked in."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from services.contracts import guarantees
from services.contracts.catalogue import ALL, CATALOGUE
from tiercel.schemas.asyncapi import asyncapi_document
from tiercel.schemas.documents import Document, json_bytes, yaml_bytes
from tiercel.schemas.events import event_path, event_schema
from tiercel.schemas.examples import VALID, example_documents
from tiercel.schemas.published import MANIFEST, edits, read_manifest, unreadable_successors
from tiercel.schemas.summary import SUMMARY_PATH, summary_schema
from tiercel.schemas.topics import topic_document

Files = Mapping[str, bytes]


def event_schemas() -> dict[str, Document]:
    """The schema of every event type, by its name."""
    return {event_type.name: event_schema(event_type) for event_type in ALL}


def render() -> dict[str, bytes]:
    """Every file below schemas/ but the manifest of published versions, by path."""
    schemas = event_schemas()
    examples = {name: dict(payloads) for name, payloads in VALID.items()}
    files = {event_path(one): json_bytes(schemas[one.name]) for one in ALL}
    files |= {path: json_bytes(body) for path, body in example_documents().items()}
    files |= {f"topics/{one.topic.name}.yaml": yaml_bytes(topic_document(one)) for one in guarantees.ALL}
    files["asyncapi.yaml"] = yaml_bytes(asyncapi_document(version("tiercel"), examples))
    files[SUMMARY_PATH] = json_bytes(summary_schema())
    return files


def write(root: Path, files: Files) -> None:
    """Make `root` hold exactly these files, and the manifest."""
    for path in _surplus(root, files):
        (root / path).unlink()
    for path, body in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)


def problems(root: Path, files: Files) -> list[str]:
    """What is wrong with the checked-in schemas, a sentence each; empty if all is well."""
    return [
        *_drift(root, files),
        *edits(read_manifest(root), event_schemas()),
        *unreadable_successors(CATALOGUE, event_schemas()),
    ]


def _drift(root: Path, files: Files) -> Iterator[str]:
    for path, body in sorted(files.items()):
        target = root / path
        if not target.exists():
            yield f"{path} is missing: run make schemas"
        elif target.read_bytes() != body:
            yield f"{path} is not what the code renders: run make schemas"
    for path in _surplus(root, files):
        yield f"{path} is rendered by nothing: run make schemas"


def _surplus(root: Path, files: Files) -> list[str]:
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(path for path in found if path not in files and path != MANIFEST and not path.startswith("."))
