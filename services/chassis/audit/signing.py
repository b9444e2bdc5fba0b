"""The key that signs anchors (Ed25519), and the anchors themselves as text."""

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_ID_CHARS: Final = 16
_CONTEXT: Final = b"tiercel audit anchor 1\n"  # a signature for this purpose is of no use for another
_SECRET_MODE: Final = 0o600


class UnusableKey(Exception):  # noqa: N818 - says what is wrong
    """A key file cannot be read, or holds no Ed25519 key."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """At `at` the audit trail of `service` had this digest at this position; `key_id` names the key that signed it."""

    service: str
    position: int
    digest: bytes
    at: datetime
    key_id: str
    signature: bytes

    def to_json(self) -> bytes:
        """One line of JSON: the payload of `audit.anchored.v1`."""
        return orjson.dumps(
            {
                "service": self.service,
                "position": self.position,
                "digest": self.digest.hex(),
                "anchored_at": _moment(self.at),
                "key_id": self.key_id,
                "signature": base64.b64encode(self.signature).decode(),
            }
        )

    @classmethod
    def from_json(cls, data: bytes | str) -> "Anchor":
        """Back from `to_json`; ValueError for anything else."""
        fields: Mapping[str, Any] = orjson.loads(data)
        try:
            return cls(
                service=str(fields["service"]),
                position=int(fields["position"]),
                digest=bytes.fromhex(fields["digest"]),
                at=datetime.fromisoformat(fields["anchored_at"]),
                key_id=str(fields["key_id"]),
                signature=base64.b64decode(fields["signature"], validate=True),
            )
        except (KeyError, TypeError) as error:
            msg = f"no anchor: {error!r}"
            raise ValueError(msg) from error


class Signer:
    """Holds the private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._key_id = key_id(key.public_key())

    @classmethod
    def from_file(cls, path: Path) -> "Signer":
        """Read a PEM file. Raises UnusableKey."""
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise UnusableKey(f"{path}: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise UnusableKey(f"{path} holds no Ed25519 key; make one with `tiercel audit key {path}`")
        return cls(key)

    def sign(self, service: str, position: int, digest: bytes, at: datetime) -> Anchor:
        """An anchor."""
        signature = self._key.sign(_message(service, position, digest, at))
        return Anchor(service, position, digest, at, self._key_id, signature)


def public_key(path: Path) -> Ed25519PublicKey:
    """The public key of a PEM file that holds it, or the private one. Raises UnusableKey."""
    try:
        data = path.read_bytes()
        if b"PRIVATE" in data:
            private = serialization.load_pem_private_key(data, password=None)
            key: object = private.public_key() if isinstance(private, Ed25519PrivateKey) else None
        else:
            key = serialization.load_pem_public_key(data)
    except (OSError, ValueError, TypeError) as error:
        raise UnusableKey(f"{path}: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UnusableKey(f"{path} holds no Ed25519 key")
    return key


def is_genuine(anchor: Anchor, key: Ed25519PublicKey) -> bool:
    """Whether the holder of the private key signed exactly this."""
    try:
        key.verify(anchor.signature, _message(anchor.service, anchor.position, anchor.digest, anchor.at))
    except InvalidSignature:
        return False
    return True


def key_id(key: Ed25519PublicKey) -> str:
    """A name for a key: the start of the SHA-256 of its 32 bytes, in hexadecimal digits."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:KEY_ID_CHARS]


def make_key(path: Path) -> str:
    """Make a key, readable by its owner only, with the public one beside it (`.pub`); its id.

    Raises FileExistsError: a key is never overwritten, because anchors that it signed would be worth nothing.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _SECRET_MODE), "wb") as file:
        file.write(pem)
    public = key.public_key()
    path.with_name(path.name + ".pub").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return key_id(public)


def _message(service: str, position: int, digest: bytes, at: datetime) -> bytes:
    return _CONTEXT + orjson.dumps([service, position, digest.hex(), _moment(at)])


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
