"""Problems of the ATP's own."""

from typing import Final

from services.chassis.problems import ProblemCode, register

ORDER_UNKNOWN: Final = register(ProblemCode("order_unknown", 404, "No such order, or not one that you may see"))
ORDER_DIFFERS: Final = register(ProblemCode("order_differs", 409, "The order exists with other content"))
ORDER_VERSION_OLDER: Final = register(
    ProblemCode("order_version_older", 409, "A later version of the order is stored; this one was not applied")
)
NOT_POSSIBLE: Final = register(
    ProblemCode("not_possible", 409, "It cannot be done as things are; the promise stays as it was")
)
PROMISE_STATE: Final = register(ProblemCode("promise_state", 409, "The promise's state does not allow this"))
LINE_REPEATED: Final = register(ProblemCode("line_repeated", 422, "Two lines of the order have the same id"))
ID_UNPRINTABLE: Final = register(ProblemCode("id_unprintable", 422, "An id has characters that cannot be printed"))
CHANNEL_FORBIDDEN: Final = register(
    ProblemCode("channel_forbidden", 403, "These credentials do not cover orders of this channel")
)
MONTH_NOT_OVER: Final = register(ProblemCode("month_not_over", 409, "The month has not ended yet"))
NO_DECISION: Final = register(
    ProblemCode("no_decision", 404, "Nothing was decided for this promise, or its record is archived")
)
NOT_A_REPLAY: Final = register(ProblemCode("not_a_replay", 409, "This process does not take part in a replay"))
ITEM_UNKNOWN: Final = register(ProblemCode("item_unknown", 404, "No such item"))
TIER_UNKNOWN: Final = register(ProblemCode("tier_unknown", 422, "No such tier"))
LOCATION_UNKNOWN: Final = register(ProblemCode("location_unknown", 422, "A lane names a location that is not defined"))
NO_LOCATION: Final = register(ProblemCode("no_location", 404, "No such location"))
HOLIDAYS_UNKNOWN: Final = register(
    ProblemCode("holidays_unknown", 422, "Public holidays of a country or subdivision are named that nobody knows")
)
CALENDAR_UNKNOWN: Final = register(ProblemCode("calendar_unknown", 422, "A calendar is named that is not defined"))
NAMES_UNKNOWN: Final = register(
    ProblemCode("names_unknown", 422, "Tiers, locations or items are named that are not defined")
)
TOO_MANY_RULES: Final = register(
    ProblemCode("too_many_rules", 409, "More routing rules would be in effect together than are looked through")
)
DOCUMENT_UNKNOWN: Final = register(ProblemCode("document_unknown", 404, "No such document"))
DOCUMENT_KIND: Final = register(ProblemCode("document_kind", 409, "The document of this id is of another kind"))
CUSTOMER_UNKNOWN: Final = register(
    ProblemCode("preview_customer_unknown", 422, "A customer is named that nobody knows")
)
RECEIPT_UNKNOWN: Final = register(ProblemCode("receipt_unknown", 422, "A scheduled receipt is named that is not known"))
VARIANT_UNKNOWN: Final = register(
    ProblemCode("variant_unknown", 404, "No such variant of backorder processing, or no version of it is in effect")
)
TOO_MANY_VARIANTS: Final = register(ProblemCode("too_many_variants", 409, "There are as many variants as may be"))
RUN_UNKNOWN: Final = register(ProblemCode("run_unknown", 404, "No such run"))
RUN_GOES_ON: Final = register(ProblemCode("run_goes_on", 409, "A run of this variant goes on; one at a time"))
SHEET_REFUSED: Final = register(ProblemCode("sheet_refused", 422, "The file is no table of this kind of document"))
ROWS_SET_ASIDE: Final = register(
    ProblemCode("rows_set_aside", 422, "Some rows cannot be taken; nothing was written. Mend them, or leave them out")
)
PREVIEW_TOO_LARGE: Final = register(
    ProblemCode("preview_too_large", 422, "The change concerns more than a preview looks at; try a part of it")
)
PERIODS_OVERLAP: Final = register(
    ProblemCode(
        "periods_overlap",
        409,
        "Periods overlap: of one tier at one position, of one quota, two hierarchies of one item, or one capacity's",
    )
)
