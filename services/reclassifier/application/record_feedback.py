"""Count what customers said, exactly once, whatever its order and however often it comes."""

from collections.abc import Sequence

from services.reclassifier.application.ports import Cause, ReclassifierTransaction
from services.reclassifier.domain.feedback import Feedback, HeardFeedback, feedback_changes, newest
from services.reclassifier.domain.orders import sum_changes


async def record_feedback(transaction: ReclassifierTransaction, heard: Sequence[tuple[Feedback, Cause]]) -> int:
    """Bring feedback and its days up to date; how many pieces said something new.

    What customers say moves no tier, so that nobody becomes due by it.
    """
    await transaction.hold_ownership(changing=False)
    given = newest(feedback for feedback, _ in heard)
    stored = await transaction.lock_feedback(given)
    joined = newest([*(one.feedback for one in stored.values()), *given.values()])
    customers = {one.customer_id for one in joined.values() if one.customer_id is not None}
    references = {one.said_by for one in joined.values() if one.customer_id is None}
    by_customer, by_reference = await transaction.owners(customers, references)
    after = [
        HeardFeedback(one, by_reference[one.said_by] if one.customer_id is None else by_customer[one.customer_id])
        for _, one in sorted(joined.items())
    ]
    changed = [one for one in after if stored.get(one.feedback.key) != one]
    await transaction.save_feedback(changed)
    found = [change for one in changed for change in feedback_changes(stored.get(one.feedback.key), one)]
    await transaction.add_outcomes(sum_changes(found))
    if changed:
        await transaction.count_activity()
    return len(changed)
