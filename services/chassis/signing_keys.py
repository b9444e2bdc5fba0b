"""Keys that sign (Ed25519), in PEM files: made, read and named. What is signed with them is the business of others.

Guarantees: a key file is never overwritten, and a private one is readable by its owner only.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_ID_CHARS: Final = 16
_SECRET_MODE: Final = 0o600
_PUBLIC_BLOCK: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n?", re.DOTALL)


class UnusableKey(Exception):  # noqa: N818 - says what is wrong
    """A key file cannot be read, or holds no Ed25519 key."""


def private_key(path: Path) -> Ed25519PrivateKey:
    """The private key of a PEM file. Raises UnusableKey."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise UnusableKey(f"{path}: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableKey(f"{path} holds no Ed25519 key")
    return key


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


def public_keys(path: Path) -> dict[str, Ed25519PublicKey]:
    """The public keys of a PEM file that holds one after the other, by their ids. Raises UnusableKey, also for none."""
    try:
        keys = [serialization.load_pem_public_key(block) for block in _PUBLIC_BLOCK.findall(path.read_bytes())]
    except (OSError, ValueError, TypeError) as error:
        raise UnusableKey(f"{path}: {error}") from error
    found = {key_id(key): key for key in keys if isinstance(key, Ed25519PublicKey)}
    if not found or len(found) < len(keys):
        raise UnusableKey(f"{path} holds no public Ed25519 key, or one twice, or one of another kind")
    return found


def key_id(key: Ed25519PublicKey) -> str:
    """A name for a key: the start of the SHA-256 of its 32 bytes, in hexadecimal digits."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:KEY_ID_CHARS]


def make_key(path: Path) -> str:
    """Make a key, readable by its owner only, with the public one beside it (`.pub`); its id.

    Raises FileExistsError: a key is never overwritten, because what it signed would be worth nothing.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _SECRET_MODE), "wb") as file:
        file.write(pem)
    public_half(path).write_bytes(_public_pem(key.public_key()))
    return key_id(key.public_key())


def ensure_key(path: Path) -> None:
    """A key with its public half, made or kept; of one whose maker was killed, what is missing.

    One process at a time may do so.

    Raises UnusableKey: there is a file, and it holds no key.
    """
    if path.exists() and path.stat().st_size == 0:
        path.unlink()  # nothing was ever signed with it
    if not path.exists():
        make_key(path)
        return
    public, half = _public_pem(public_key(path)), public_half(path)
    if not half.exists() or half.read_bytes() != public:
        half.write_bytes(public)


def public_half(path: Path) -> Path:
    """Where `make_key` puts the public key of a private one."""
    return path.with_name(path.name + ".pub")


def _public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
