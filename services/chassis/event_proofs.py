"""Who made an event: a signature over all that the event says, carried beside it as the CloudEvents extension `proof`.

Guarantees: `refusal` is None only for an event that the holder of one of the private keys proved as it stands: its
topic, key, attributes and content. Left out is the trace context alone, which whoever passes an event on may set anew.
Not guaranteed: that the event is new. A proven event may be sent again by anybody, so that its reader must know what it
has seen.

A proof is `<id of the key>.<Ed25519 signature, base64url without padding>`.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from enum import StrEnum
from pathlib import Path
from typing import Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.chassis.envelope import Event
from services.chassis.signing_keys import key_id, private_key, public_keys

_CONTEXT: Final = b"tiercel event 1\n"  # a signature for this purpose is of no use for another


class ProofRefusal(StrEnum):
    """Why an event is not believed to be its producer's: stable codes, the reasons of dead letters."""

    MISSING = "proof_missing"
    KEY_UNKNOWN = "proof_key_unknown"
    WRONG = "proof_wrong"


class Prover:
    """Holds a producer's private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._key_id = key_id(key.public_key())

    @classmethod
    def from_file(cls, path: Path) -> "Prover":
        """Read a PEM file. Raises UnusableKey."""
        return cls(private_key(path))

    def prove(self, event: Event) -> Event:
        """The event with its proof; whatever is changed of it afterwards makes the proof wrong."""
        signature = base64.urlsafe_b64encode(self._key.sign(_message(event))).rstrip(b"=").decode()
        return replace(event, proof=f"{self._key_id}.{signature}")


class ProofCheck:
    """Knows the public keys of a producer by their ids: more than one while a key is being replaced."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._keys = dict(keys)

    @classmethod
    def from_file(cls, path: Path) -> "ProofCheck":
        """Read a PEM file of one or more public keys. Raises UnusableKey."""
        return cls(public_keys(path))

    def refusal(self, event: Event) -> ProofRefusal | None:
        """Why the event is not believed; None if it is proven."""
        if not event.proof:
            return ProofRefusal.MISSING
        named, _, signature = event.proof.partition(".")
        key = self._keys.get(named)
        if key is None:
            return ProofRefusal.KEY_UNKNOWN
        try:
            key.verify(_signature(signature), _message(event))
        except (InvalidSignature, ValueError):
            return ProofRefusal.WRONG
        return None


def _signature(text: str) -> bytes:
    """The bytes of a signature; ValueError (binascii.Error is one) for text that is none."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _message(event: Event) -> bytes:
    """What is signed: a JSON array, so that no attribute can run into the next one."""
    return _CONTEXT + orjson.dumps(
        [
            event.topic,
            event.key,
            event.id,
            event.type,
            event.source,
            event.subject,
            event.sequence,
            event.time.astimezone(UTC).isoformat(timespec="microseconds"),
            event.dataschema,
            event.correlation_id,
            event.causation_id,
            hashlib.sha256(event.data).hexdigest(),
        ]
    )
