"""What vouches for the audit trails: the topic `audit.anchors.v1`."""

from typing import Annotated

from pydantic import Field

from services.contracts.payload import Code, Moment, Payload, Version


class AuditAnchored(Payload):
    """`audit.anchored.v1`: at that moment the audit trail of a service had this digest at this position.

    `digest` is the SHA-256 of the chain up to there, `signature` the Ed25519 signature of the key `key_id` over the
    line `tiercel audit anchor 1` and the JSON array of service, position, digest and moment. Records are never removed:
    each has a key of its own, `<service>/<position>`.
    """

    service: Code
    position: Version
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    anchored_at: Moment
    key_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
