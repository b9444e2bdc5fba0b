"""Which versions are published, and what must therefore not change.

`schemas/published.json` holds, for each published version, the digest of what its schema accepts. A version is
published once, with a release; from then on a change of its payload is a new version beside it. The next version must
be one that takes all documents of the one before, or come with an upcaster in the catalogue.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from services.contracts.catalogue import Catalogue, split_name
from tiercel.schemas.compatibility import Kind, classify
from tiercel.schemas.documents import json_bytes, meaning_digest

MANIFEST: Final = "published.json"
Schemas = Mapping[str, Mapping[str, Any]]


def read_manifest(root: Path) -> dict[str, str]:
    """Digests by event type; empty before anything was published."""
    path = root / MANIFEST
    return dict(json.loads(path.read_bytes())) if path.exists() else {}


def publish(root: Path, schemas: Schemas) -> list[str]:
    """Add the versions that are not published yet to the manifest; never changes one that is. Returns the added."""
    manifest = read_manifest(root)
    added = sorted(set(schemas) - set(manifest))
    for name in added:
        manifest[name] = meaning_digest(schemas[name])
    (root / MANIFEST).write_bytes(json_bytes(dict(sorted(manifest.items()))))
    return added


def edits(manifest: Mapping[str, str], schemas: Schemas) -> Iterator[str]:
    """A sentence for each published version that changed or is gone."""
    for name, digest in sorted(manifest.items()):
        if name not in schemas:
            yield f"{name} is published and gone: put it back"
        elif meaning_digest(schemas[name]) != digest:
            yield f"{name} is published and was edited: undo it and add {_next(name)}"


def unreadable_successors(catalogue: Catalogue, schemas: Schemas) -> Iterator[str]:
    """A sentence for each version that neither takes the documents of the one before nor comes with an upcaster."""
    for name in sorted(schemas):
        following = _next(name)
        if following not in schemas or name in catalogue.upcasters:
            continue
        verdict = classify(schemas[name], schemas[following])
        if verdict.kind is not Kind.COMPATIBLE:
            why = "; ".join(f"{finding.path} {finding.reason}" for finding in verdict.findings)
            yield f"{following} is {verdict.kind} against {name} and has no upcaster: {why}"


def _next(name: str) -> str:
    stem, version = split_name(name)
    return f"{stem}.v{version + 1}"
