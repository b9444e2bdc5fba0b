"""Anchors as text, signed and checked; the key is an Ed25519 one (`services.chassis.signing_keys`)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.chassis.signing_keys import key_id, private_key

_CONTEXT: Final = b"tiercel audit anchor 1\n"  # a signature for this purpose is of no use for another


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
        return cls(private_key(path))

    def sign(self, service: str, position: int, digest: bytes, at: datetime) -> Anchor:
        """An anchor."""
        signature = self._key.sign(_message(service, position, digest, at))
        return Anchor(service, position, digest, at, self._key_id, signature)


def is_genuine(anchor: Anchor, key: Ed25519PublicKey) -> bool:
    """Whether the holder of the private key signed exactly this."""
    try:
        key.verify(anchor.signature, _message(anchor.service, anchor.position, anchor.digest, anchor.at))
    except InvalidSignature:
        return False
    return True


def _message(service: str, position: int, digest: bytes, at: datetime) -> bytes:
    return _CONTEXT + orjson.dumps([service, position, digest.hex(), _moment(at)])


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
