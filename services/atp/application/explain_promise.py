"""A promise explained, in sentences: for a planner in order of importance, and for the customer.

Made from the stored answer, its former revisions and what supply does not cover now; nothing is decided or guessed.
What matters most comes first: the state, then what is at risk, then the lines, those that got least first.
"""

from collections.abc import Sequence
from typing import Any

from services.atp.application import customer_sentences, planner_sentences
from services.atp.application.documents import Document, load
from services.atp.application.read_promises import FormerRevision, StoredPromise, UncoveredPart
from services.contracts.promises import LineOutcome

_PLACE = {outcome.value: place for place, outcome in enumerate(LineOutcome)}


def explanation(
    stored: StoredPromise, former: Sequence[FormerRevision], uncovered: Sequence[UncoveredPart]
) -> dict[str, Any]:
    """The document of `GET /v1/promises/{id}/explanation`."""
    document = load(stored.document)
    risks = [each.document() for each in uncovered]
    return {
        "promise_id": str(stored.promise_id),
        "revision": stored.revision,
        "state": document["state"],
        "decided_at": document["decided_at"],
        "tier": document["served_as"]["tier"],
        "for_planner": [
            *planner_sentences.of_order(document),
            *((planner_sentences.TAKEN_OVER,) if stored.taken_over else ()),
            *(planner_sentences.of_risk(each) for each in risks),
        ],
        "for_customer": customer_sentences.of_order(document),
        "lines": [_line(line, document, risks) for line in sorted(document["lines"], key=_importance)],
        "changes": _changes(document, former),
    }


def _importance(line: Document) -> int:
    """The outcomes are listed in their precedence, and those that got least come first."""
    return _PLACE[line["outcome"]]


def _line(line: Document, document: Document, risks: Sequence[Document]) -> dict[str, Any]:
    tier = document["served_as"]["tier"]
    told = dict.fromkeys(customer_sentences.of_reasons(line))
    told |= dict.fromkeys(customer_sentences.RISKS[each["cause"]] for each in risks if each["line"] == line["line"])
    return {
        "line": line["line"],
        "sku": line["sku"],
        "outcome": line["outcome"],
        "for_planner": [
            *planner_sentences.of_line(line),
            *(planner_sentences.of_reason(why, tier) for why in line["why"]),
        ],
        "for_customer": " ".join((customer_sentences.of_line(line), *told)),
    }


def _changes(document: Document, former: Sequence[FormerRevision]) -> list[dict[str, Any]]:
    """The revisions that replaced another one, the newest first; later ones than the document are left out."""
    former = [each for each in former if each.revision < document["revision"]]
    answers = [*(load(each.document) for each in former), document]
    changes = [
        {
            "revision": new["revision"],
            "cause": each.cause,
            "at": each.replaced_at,
            "for_planner": planner_sentences.of_change(each.cause, old, new),
            "for_customer": customer_sentences.CHANGES[each.cause],
        }
        for each, old, new in zip(former, answers, answers[1:], strict=False)
    ]
    changes.reverse()
    return changes
