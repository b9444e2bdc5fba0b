"""The file of hashed API keys that the distributed form reads: adding a key to it, and revoking one.

The services read the file again when it changed, so a new or revoked key is in force within seconds, without a restart.
"""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from services.chassis.auth import SCOPE_WILDCARD, file_entry, mint


class KeyRefused(Exception):  # noqa: N818 - says what happened
    """What is asked makes no sense, or the file cannot be used; the text says what to change."""


class UnknownKey(KeyRefused):
    """There is no such key."""

    def __init__(self, key_id: str, place: str) -> None:
        super().__init__(f"{place} hold no valid key with the id {key_id}: the part between `tiercel_` and the dot")


def check_scopes(scopes: Sequence[str]) -> None:
    """Raise KeyRefused unless the scopes say what the key is for."""
    if SCOPE_WILDCARD in scopes or not scopes:
        raise KeyRefused("name the scopes that the key is for; there is no key for everything")


def add_key(file: Path, *, subject: str, scopes: Sequence[str], channels: Sequence[str] | None = None) -> str:
    """Mint a key, add its hash to the file (made if it is missing), and return the key, which is shown this once."""
    check_scopes(scopes)
    entries = _read(file) if file.exists() else []
    key, hashed = mint(scopes, subject=subject, channels=channels)
    _write(file, [*entries, file_entry(hashed)])
    return key


def revoke_key(file: Path, key_id: str) -> None:
    """Mark a key as revoked; its entry stays, so that the file says who had access and until when."""
    entries = _read(file)
    for entry in entries:
        if entry["id"] == key_id:
            entry.setdefault("revoked_at", datetime.now(UTC).isoformat())
            _write(file, entries)
            return
    raise UnknownKey(key_id, f"the keys in {file}")


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise KeyRefused(f"{file} cannot be read as a list of hashed keys: {error}") from error
    return entries


def _write(file: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Replace the file at once: a service that reads it now sees the old list or the new one."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as written:
        written.write(orjson.dumps(list(entries), option=orjson.OPT_INDENT_2) + b"\n")
    # It holds hashes of 256 random bits, no secrets: the user of a container may read it.
    Path(written.name).chmod(0o644)
    Path(written.name).replace(file)
