"""What a reader of a topic may rely on: who owns it, who writes and reads it, its order and its duplicates.

Delivery is at least once on every topic: a reader must know an event id that it has seen (or, on a topic that keeps the
newest value of each key, a sequence that it has applied).
"""

from dataclasses import dataclass
from typing import Final

from services.contracts import topics

OMS: Final = "order management systems"
WMS: Final = "warehouse systems"
ERP: Final = "master data systems"
SUBSCRIBERS: Final = "subscribers"


@dataclass(frozen=True, slots=True)
class Guarantee:
    """The promises made about one topic, in sentences fit for its reference page."""

    topic: topics.Topic
    purpose: str
    owner: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    ordering: str
    duplicates: str


_BY_ORDER: Final = (
    "Records of one order keep the order in which their sender wrote them; orders among each other do not."
)
_BY_KEY: Final = "Records of one key are in the order of their `sequence`, which starts at 1 and never falls."

ALL: Final = (
    Guarantee(
        topics.ORDERS,
        "Commands: place, confirm, cancel, amend, release, transfer or revive an order.",
        "atp",
        (OMS,),
        ("atp",),
        _BY_ORDER + " An older version than the one stored is recorded and not applied.",
        "An order exists once per (source, order id). The same command again changes nothing.",
    ),
    Guarantee(
        topics.SUPPLY,
        "What a WMS or an ERP says about stock: movements, full counts, what is due in; and how far counts were off.",
        "atp",
        (WMS, ERP, "atp"),
        ("atp", SUBSCRIBERS),
        "With `sequence` and `cursor` any interleaving ends in the same position. Without them a count that overtakes "
        "a movement, or is overtaken by one, may be applied in the order of arrival.",
        "A movement or count acts once per (source, reference); a scheduled receipt counts at its highest version.",
    ),
    Guarantee(
        topics.CATALOG,
        "Items that may be promised, and customers whose orders are blocked.",
        "atp",
        (ERP,),
        ("atp",),
        "None is needed: an item, and a block of a customer, counts at its highest version.",
        "The same version again changes nothing.",
    ),
    Guarantee(
        topics.FULFILMENTS,
        "What became of an order in the warehouse and on the road.",
        "atp",
        (WMS,),
        ("atp",),
        _BY_ORDER + " A delivery may come before its shipment.",
        "A shipment or delivery acts once per (source, reference).",
    ),
    Guarantee(
        topics.ORDERS_RECORDED,
        "Every accepted order and what happened to it, whichever way it came.",
        "atp",
        ("atp",),
        ("reclassifier", SUBSCRIBERS),
        "Records of one order carry its `sequence` without gaps, and each holds totals: the highest one counts alone. "
        "Orders of one customer may arrive in any order of their event times.",
        "The event id is the same in every repetition; keeping the highest `sequence` of each order is enough.",
    ),
    Guarantee(
        topics.PROMISES,
        "Every answer and every change of one, whole, with old, new and cause.",
        "atp",
        ("atp",),
        (OMS, WMS, SUBSCRIBERS),
        _BY_KEY + " It is the promise's `revision`; `promise.at_risk` and `promise.unmet` leave the promise as it is"
        " and repeat its revision, and `promise.preempted` that of the `promise.changed` which it explains."
        " An order begins with `promise.answered`, or with `promise.taken_over` if another system had promised it.",
        "The event id is the same in every repetition; keeping the highest `revision` of each promise is enough, and "
        "of each part the newest `promise.at_risk` and of each line the newest `promise.unmet`.",
    ),
    Guarantee(
        topics.SEGMENTS_CURRENT,
        "All that a subscriber needs to know of each customer. Read from the start, it is the whole state.",
        "segment_registry",
        ("segment_registry",),
        ("atp", "reclassifier", SUBSCRIBERS),
        _BY_KEY + " Apply a value only if its sequence is higher than the one held. Gaps are normal: the log keeps the "
        "newest. Heartbeats have a key of their own per partition and say that silence is not age.",
        "Each value is whole, so that a repetition changes nothing.",
    ),
    Guarantee(
        topics.SEGMENTS_CHANGES,
        "One record per move of a customer as it takes effect, for those who need the history. What is only planned is "
        "on `segments.current.v1`.",
        "segment_registry",
        ("segment_registry",),
        (SUBSCRIBERS,),
        _BY_KEY + " It is the customer's assignment sequence.",
        "The event id is the same in every repetition.",
    ),
    Guarantee(
        topics.SEGMENTS_PROPOSALS,
        "A rule says that a customer belongs in another tier, with the numbers. Each event carries `ce_proof`, the "
        "reclassifier's signature; one without is set aside and changes nothing.",
        "reclassifier",
        ("reclassifier",),
        ("segment_registry",),
        "Proposals of one customer keep their order. One that is based on an older sequence than the customer's is "
        "refused.",
        "A proposal acts once per `proposal_id`.",
    ),
    Guarantee(
        topics.SEGMENTS_POLICIES,
        "The tiers with their rank and service policy. Read from the start, it is the whole state.",
        "segment_registry",
        ("segment_registry",),
        ("atp", SUBSCRIBERS),
        _BY_KEY + " It is the policy's version.",
        "Each value is whole, so that a repetition changes nothing.",
    ),
    Guarantee(
        topics.SEGMENTS_PROFILES,
        "How even each customer's demand is, where enough is known to tell; micro-segments of policies may ask for it.",
        "reclassifier",
        ("reclassifier",),
        ("atp", SUBSCRIBERS),
        _BY_KEY,
        "A profile is applied when its sequence is higher than the one stored.",
    ),
    Guarantee(
        topics.SERVICE_BREACHES,
        "A tier's measure of a month fell below its target, came back, or was closed below it; with the cause.",
        "atp",
        ("atp",),
        (SUBSCRIBERS,),
        _BY_KEY,
        "The event id is the same in every repetition; the highest `sequence` of each month and measure counts.",
    ),
    Guarantee(
        topics.ORDERS_COSTED,
        "What each order cost so far, by day: cost to serve and goods, once anything of it is known.",
        "atp",
        ("atp",),
        ("reclassifier", SUBSCRIBERS),
        "Events of one order carry its `sequence`, and each holds totals: the highest one counts alone.",
        "The event id is the same in every repetition; keeping the highest `sequence` of each order is enough.",
    ),
    Guarantee(
        topics.RECLASSIFICATION,
        "Automatic moves of a rule set stopped because too many customers would move at once, or go on.",
        "reclassifier",
        ("reclassifier",),
        (SUBSCRIBERS,),
        _BY_KEY,
        "The event id is the same in every repetition; the highest `sequence` of each rule set counts.",
    ),
    Guarantee(
        topics.CUSTOMER_FEEDBACK,
        "Surveys and complaints of customers, as a CRM knows them: scores and kinds, never the text of what was said.",
        "reclassifier",
        ("a CRM",),
        ("reclassifier",),
        "None is needed: of one piece of feedback the highest version counts, whenever it comes.",
        "A repetition changes nothing: pieces are known by their source and reference.",
    ),
    Guarantee(
        topics.AUDIT_ANCHORS,
        "Signed statements of how far each service's audit trail went and what its digest was. Keep them for ever.",
        "every service, each for its own trail",
        ("segment_registry", "reclassifier", "atp"),
        ("tiercel audit verify", SUBSCRIBERS),
        "Positions of a service only rise; processes of one service may anchor the same position.",
        "A repetition says the same.",
    ),
)
