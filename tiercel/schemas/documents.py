"""How a rendered document becomes bytes: the same document, the same bytes, on every machine."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import yaml

Document = dict[str, Any]
LINE_WIDTH: Final = 120
# What a validator does not look at. Correcting a sentence in a published schema does not change what it accepts.
ANNOTATIONS: Final = frozenset({"$comment", "$id", "description", "examples", "title"})
# Under these a key is a name that somebody chose, not a keyword.
_NAMED: Final = frozenset({"$defs", "properties", "patternProperties", "dependentSchemas"})
_LITERAL: Final = frozenset({"const", "default", "enum", "required"})


def json_bytes(document: object) -> bytes:
    """JSON with two spaces of indent, keys in the order given, UTF-8, a newline at the end."""
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def yaml_bytes(document: object) -> bytes:
    """YAML in block style, keys in the order given, no aliases."""
    text = yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=LINE_WIDTH)
    return text.encode()


def meaning_digest(schema: Mapping[str, Any]) -> str:
    """The SHA-256 of what a JSON Schema accepts: its keywords without annotations, in one order of keys."""
    canonical = json.dumps(without_annotations(schema), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def without_annotations(schema: object) -> Any:
    """The schema without titles, descriptions and examples; `default` stays, since a reader fills it in."""
    if isinstance(schema, list):
        return [without_annotations(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {key: _meaning(key, value) for key, value in schema.items() if key not in ANNOTATIONS}


def _meaning(key: str, value: object) -> Any:
    if key in _LITERAL:
        return value
    if key in _NAMED and isinstance(value, Mapping):
        return {name: without_annotations(part) for name, part in value.items()}
    return without_annotations(value)


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        del data  # two equal sentences are two sentences
        return True
