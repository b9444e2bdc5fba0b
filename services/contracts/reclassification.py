"""That the moves of a rule set stopped, and that they go on: `segments.reclassification.v1`."""

from services.contracts.payload import Code, Identifier, Moment, Note, Payload, Quantity, QuantityOrZero, Version


class ReclassificationStopped(Payload):
    """`reclassification.stopped.v1`: the fuse of a rule set blew; its moves wait for a person from now on.

    `moves` would have been made without a person within the hours, more than the `limit`. `sequence` counts what
    happened to the fuse.
    """

    rule: Code
    rule_version: Version
    sequence: Version
    moves: Quantity
    limit: QuantityOrZero
    within_hours: Quantity
    stopped_at: Moment


class ReclassificationResumed(Payload):
    """`reclassification.resumed.v1`: a person reset the fuse; what waits still waits for a person."""

    rule: Code
    sequence: Version
    author: Identifier
    reason: Note
    resumed_at: Moment
