"""Whether documents of an older schema are still valid under a newer one, as far as their keywords tell.

The verdict is `compatible` only where every keyword that differs is understood and only widens. A narrower keyword is
`breaking`; anything that is not understood (a changed pattern, a keyword that is not listed here) is `unknown`, and
whoever asks treats unknown as a failure: "cannot tell" must not pass for "fine".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tiercel.schemas.documents import ANNOTATIONS, without_annotations

Schema = Mapping[str, Any]
DEPTH_MAX: Final = 40  # a payload is nowhere near as deep; a schema that refers to itself is


class Kind(StrEnum):
    """What a change is, from harmless to worst known."""

    COMPATIBLE = "compatible"
    UNKNOWN = "unknown"
    BREAKING = "breaking"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: what it is and where (a path of property names)."""

    kind: Kind
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The worst finding, and all of them."""

    kind: Kind
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two schemas at one place, with the documents that their references point into."""

    old: Schema
    new: Schema
    old_root: Schema
    new_root: Schema
    path: str = ""
    depth: int = 0

    def below(self, old: Schema, new: Schema, name: str) -> "_Pair":
        return _Pair(old, new, self.old_root, self.new_root, f"{self.path}/{name}", self.depth + 1)

    def beside(self, old: Schema, new: Schema) -> "_Pair":
        return _Pair(old, new, self.old_root, self.new_root, self.path, self.depth + 1)

    def finding(self, kind: Kind, reason: str) -> Finding:
        return Finding(kind, self.path or "/", reason)


def classify(old: Schema, new: Schema) -> Verdict:
    """Compare two versions of a schema; `compatible` means: what was valid stays valid and keeps its meaning."""
    findings = tuple(_compare(_Pair(old, new, old, new)))
    worst = max((finding.kind for finding in findings), key=list(Kind).index, default=Kind.COMPATIBLE)
    return Verdict(worst, findings)


def _compare(pair: _Pair) -> Iterator[Finding]:
    if pair.depth > DEPTH_MAX:
        yield pair.finding(Kind.UNKNOWN, "nested too deeply to tell")
        return
    old, new = _resolved(pair.old, pair.old_root), _resolved(pair.new, pair.new_root)
    here = _Pair(old, new, pair.old_root, pair.new_root, pair.path, pair.depth)
    if old.get("default") != new.get("default"):
        yield here.finding(Kind.BREAKING, "another default changes what an absent field means")
    if "anyOf" not in old and "anyOf" not in new:
        yield from _compare_plain(here)
        return
    olds, news = _alternatives(old), _alternatives(new)
    if len(olds) == len(news) == 1:
        yield from _compare(here.beside(olds[0], news[0]))
        return
    for alternative in olds:
        yield from _best(here, alternative, news)


def _best(here: _Pair, alternative: Schema, news: Sequence[Schema]) -> Iterator[Finding]:
    """The findings of the new alternative that takes this old one best; none if one takes it whole."""
    tries = [list(_compare(here.beside(alternative, new))) for new in news]
    if any(not found for found in tries):
        return
    doubtful = any(all(finding.kind is Kind.UNKNOWN for finding in found) for found in tries)
    reason = f"no alternative is sure to take what was {_type_of(alternative)}"
    yield here.finding(Kind.UNKNOWN if doubtful else Kind.BREAKING, reason)


def _compare_plain(pair: _Pair) -> Iterator[Finding]:
    old, new = pair.old, pair.new
    if not without_annotations(new):  # an empty schema takes everything
        return
    yield from _compare_types(pair)
    for keyword in sorted({*old, *new} - ANNOTATIONS - _STRUCTURAL):
        before, after = old.get(keyword), new.get(keyword)
        if before == after and "$ref" not in str(after):
            continue
        rule = _RULES.get(keyword)
        kind = Kind.UNKNOWN if rule is None else rule(before, after)
        if kind is not Kind.COMPATIBLE:
            yield pair.finding(kind, f"{keyword}: {before!r} became {after!r}")
    if {"properties", "required", "additionalProperties"} & {*old, *new}:
        yield from _compare_objects(pair)
    if isinstance(old.get("items"), Mapping) and isinstance(new.get("items"), Mapping):
        yield from _compare(pair.below(old["items"], new["items"], "[]"))
    elif old.get("items") != new.get("items") and new.get("items") is not None:
        yield pair.finding(Kind.UNKNOWN, "items are described in another way")


def _compare_types(pair: _Pair) -> Iterator[Finding]:
    before, after = pair.old.get("type"), pair.new.get("type")
    if before == after or after is None or (before == "integer" and after == "number"):
        return
    yield pair.finding(Kind.BREAKING, f"type: {before!r} became {after!r}")


def _compare_objects(pair: _Pair) -> Iterator[Finding]:
    before: Schema = pair.old.get("properties", {})
    after: Schema = pair.new.get("properties", {})
    rest_before, rest_after = pair.old.get("additionalProperties", True), pair.new.get("additionalProperties", True)
    was_closed, is_closed = rest_before is False, rest_after is False
    if isinstance(rest_before, Mapping) and isinstance(rest_after, Mapping):
        yield from _compare(pair.below(rest_before, rest_after, "*"))
    elif rest_before is True and isinstance(rest_after, Mapping):
        yield pair.finding(Kind.UNKNOWN, "unlisted fields are described now")
    for name in sorted(set(pair.new.get("required", ())) - set(pair.old.get("required", ()))):
        yield pair.finding(Kind.BREAKING, f"{name} became required")
    for name in sorted(set(before) - set(after)):
        if rest_after is not True:
            yield pair.finding(Kind.BREAKING if is_closed else Kind.UNKNOWN, f"{name} is gone")
    if not was_closed:
        for name in sorted(set(after) - set(before)):
            yield pair.finding(Kind.UNKNOWN, f"{name} is new where unlisted fields were allowed before")
        if is_closed:
            yield pair.finding(Kind.BREAKING, "unknown fields are refused now")
    for name in sorted(set(before) & set(after)):
        yield from _compare(pair.below(before[name], after[name], name))


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema with its local reference followed; what stands beside the reference stays."""
    while "$ref" in schema:
        reference = str(schema["$ref"])
        if not reference.startswith("#/$defs/"):
            return schema  # compared as text: a reference that differs is unknown
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**root["$defs"][reference.removeprefix("#/$defs/")], **beside}
    return schema


def _alternatives(schema: Schema) -> list[Schema]:
    if "anyOf" not in schema:
        return [schema]
    beside = {key: value for key, value in schema.items() if key not in ANNOTATIONS | {"anyOf", "default"}}
    return [{**beside, **alternative} for alternative in schema["anyOf"]]


def _type_of(schema: Schema) -> str:
    return str(schema.get("$ref") or schema.get("type") or "something")


def _at_least(before: Any, after: Any) -> Kind:
    """A lower bound: lower or gone is wider."""
    return Kind.COMPATIBLE if after is None or (before is not None and after <= before) else Kind.BREAKING


def _at_most(before: Any, after: Any) -> Kind:
    """An upper bound: higher or gone is wider."""
    return Kind.COMPATIBLE if after is None or (before is not None and after >= before) else Kind.BREAKING


def _one_of(before: Any, after: Any) -> Kind:
    """An enumeration: more values are wider."""
    if after is None or (before is not None and all(value in after for value in before)):
        return Kind.COMPATIBLE
    return Kind.BREAKING


def _exactly(before: Any, after: Any) -> Kind:
    """A constant, pattern or format: gone is wider, new is narrower, another one cannot be judged."""
    if after is None:
        return Kind.COMPATIBLE
    return Kind.BREAKING if before is None else Kind.UNKNOWN


_STRUCTURAL: Final = frozenset(
    {"$defs", "$schema", "additionalProperties", "anyOf", "default", "items", "properties", "required", "type"}
)
_RULES: Final[Mapping[str, Callable[[Any, Any], Kind]]] = {
    "minimum": _at_least,
    "exclusiveMinimum": _at_least,
    "minLength": _at_least,
    "minItems": _at_least,
    "maximum": _at_most,
    "exclusiveMaximum": _at_most,
    "maxLength": _at_most,
    "maxItems": _at_most,
    "enum": _one_of,
    "const": _exactly,
    "pattern": _exactly,
    "format": _exactly,
}
