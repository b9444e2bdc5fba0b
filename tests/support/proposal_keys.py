"""Keys that prove proposals, for parts of services that a test puts together itself."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.chassis.event_proofs import ProofCheck, Prover
from services.chassis.signing_keys import key_id

_KEY = Ed25519PrivateKey.generate()
PROVER = Prover(_KEY)
"""The reclassifier's."""

PROOFS = ProofCheck({key_id(_KEY.public_key()): _KEY.public_key()})
"""What the registry knows: the public half of that one key."""


def a_stranger() -> Prover:
    """Somebody with a key of his own."""
    return Prover(Ed25519PrivateKey.generate())
