"""What is told of a promise: nothing is missing, and the customer's sentences give nothing away."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import orjson
import pytest

from services.atp.application import customer_sentences, planner_sentences
from services.atp.application.content import OrderKey
from services.atp.application.explain_promise import explanation
from services.atp.application.read_promises import FormerRevision, StoredPromise, UncoveredPart
from services.atp.domain.validation_rules import CHECKS
from services.contracts.promises import Constraint, LineOutcome, PromiseChanged, PromiseState
from services.contracts.risks import RiskCause

KINDS = get_args(Constraint.model_fields["kind"].annotation)
CAUSES = get_args(PromiseChanged.model_fields["cause"].annotation)
BASES = ("assigned", "unknown_customer", "unassigned", "caller_override")
PROMISE_ID = UUID("019caf3e-2a10-7c31-9f8e-0d5a3c1b2e4f")
DECIDED = "2026-03-02T10:15:00Z"
# Words that are ours and no customer's, and what would show whom we prefer or what we have.
OURS = re.compile(
    r"\b(tier|segment|protect\w*|quota|alloc\w*|backorder\w*|rank\w*|priorit\w*|stock|supply|supplies|buffer|commit\w*|"
    r"reserv\w*|posting|ledger|validat\w*|block\w*|credit|compliance|hold|held|planner|penalt\w*|cost|location|lane|"
    r"registry|customer\w*|gold|silver|bronze|policy|atp|decision|revision|other orders?|deficit|risk)\b",
    re.IGNORECASE,
)


def _of_customer() -> Iterator[tuple[str, str]]:
    tables: list[Mapping[Any, str]] = [
        customer_sentences.STATES,
        customer_sentences.OUTCOMES,
        customer_sentences.REASONS,
        customer_sentences.CHECKS,
        customer_sentences.CHANGES,
        customer_sentences.RISKS,
        {"rest_waits": customer_sentences.REST_WAITS, "all_waits": customer_sentences.ALL_WAITS},
    ]
    for table in tables:
        for name, sentence in table.items():
            yield str(name), sentence


def test_every_state_outcome_reason_check_change_and_risk_has_its_sentences() -> None:
    assert list(customer_sentences.STATES) == list(PromiseState)
    assert list(planner_sentences.STATES) == list(PromiseState)
    assert list(customer_sentences.OUTCOMES) == list(LineOutcome)
    assert sorted(customer_sentences.REASONS) == sorted(planner_sentences.REASONS) == sorted(KINDS)
    assert list(customer_sentences.CHECKS) == list(CHECKS)
    assert sorted(customer_sentences.CHANGES) == sorted(planner_sentences.CHANGES) == sorted(CAUSES)
    assert sorted(customer_sentences.RISKS) == sorted(get_args(RiskCause))
    assert sorted(planner_sentences.BASES) == sorted(BASES)


@pytest.mark.parametrize(("name", "sentence"), list(_of_customer()))
def test_a_sentence_for_a_customer_is_one_without_words_of_ours(name: str, sentence: str) -> None:
    assert sentence.endswith("."), name
    assert sentence[0].isupper() or sentence.startswith("{coming}"), name
    assert OURS.findall(sentence) == [], name
    assert re.findall(r"\d", sentence) == [], name
    assert set(re.findall(r"{(\w+)}", sentence)) <= {"asked", "coming", "day"}, name


def _line(outcome: str, *why: dict[str, Any]) -> dict[str, Any]:
    """A line whose every inner figure and name is unmistakable."""
    part = {"location": "DC-CANARY", "service": "CANARYPOST", "ship_date": "2026-03-05", "cost_minor": 77_777}
    return {
        "line": "L7",
        "sku": "SKU-1",
        "quantity": 12,
        "outcome": outcome,
        "promised": 8,
        "backordered": 4,
        "shipped": 0,
        "requested_arrival": "2026-03-04",
        "schedule": [{**part, "quantity": 8, "arrival_date": "2026-03-06"}],
        "why": list(why),
        "alternatives": [],
    }


def _why(kind: str, reference: str = "canary-ref") -> dict[str, Any]:
    return {
        "kind": kind,
        "reference": reference,
        "allowed": 55_555,
        "day": "2026-03-09",
        "tier": "canarytier",
        "would_help": "44444 more units at DC-CANARY",
        "needed": 44_444,
    }


def _document(state: str, *lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    served = {
        "tier": "canarytier",
        "priority_rank": 33_333,
        "policy_version": 1,
        "basis": "assigned",
        "assignment_sequence": 5,
        "tier_at_order": "formertier",
        "projection_stale": True,
    }
    order = {"source": "erp", "order_id": "A-1", "version": 2}
    return {
        "promise_id": str(PROMISE_ID),
        "order": order,
        "revision": 1,
        "state": state,
        "served_as": served,
        "decided_at": DECIDED,
        "lines": list(lines),
        **fields,
    }


def _explained(document: dict[str, Any], *former: FormerRevision, uncovered: tuple[UncoveredPart, ...] = ()) -> Any:
    stored = StoredPromise(PROMISE_ID, OrderKey("erp", "A-1"), "web", document["revision"], orjson.dumps(document))
    return explanation(stored, former, uncovered)


def _told_to_customer(explained: Any) -> str:
    texts = [explained["for_customer"], *(line["for_customer"] for line in explained["lines"])]
    return " ".join([*texts, *(change["for_customer"] for change in explained["changes"])])


KEPT = [("protection", "backorders_ahead"), ("protection", "set_aside")]
REFERENCES = [(kind, "canary-ref") for kind in KINDS] + [("validation", check) for check in CHECKS]


@pytest.mark.parametrize("state", list(PromiseState))
@pytest.mark.parametrize("outcome", list(LineOutcome))
def test_a_customer_reads_nothing_but_the_own_order_whatever_bound(state: PromiseState, outcome: LineOutcome) -> None:
    reasons = [_why(kind, reference) for kind, reference in [*REFERENCES, *KEPT]]
    told = _told_to_customer(_explained(_document(state, _line(outcome, *reasons))))
    assert OURS.findall(told) == []
    assert "canary" not in told.lower()
    assert set(re.findall(r"\d+", told)) <= {"12", "8", "2026", "03", "06"}


@pytest.mark.parametrize(("kind", "reference"), REFERENCES)
def test_a_planner_reads_what_bound_by_how_much_and_what_would_help(kind: str, reference: str) -> None:
    explained = _explained(_document("promised", _line("partly_promised", _why(kind, reference))))
    told = explained["lines"][0]["for_planner"][-1]
    assert told.endswith("It would help: 44444 more units at DC-CANARY.")
    assert "{" not in told
    if kind not in {"ship_complete", "unit"} and not reference.endswith("_block") and kind != "item":
        assert "55555" in told
    if kind == "protection":
        assert "tier canarytier" in told
        assert "2026-03-09" in told


def test_the_whole_explanation_reads_well() -> None:
    explained = _explained(_document("promised", _line("partly_promised", _why("protection", "gold-q1"))))
    assert explained["for_planner"] == [
        "Order A-1 of erp (version 2) is promised and not confirmed yet.",
        "Of 12 units on 1 line, 8 are promised, 4 wait.",
        "It was served as tier canarytier (rank 33333), assignment 5 of the customer.",
        "At the time of the order the customer was in tier formertier.",
        "The registry had been silent for too long when the tier was looked up; it may be old.",
    ]
    bound = (
        "Protection gold-q1 keeps stock for tier canarytier and allowed 55555 units to tier canarytier on 2026-03-09."
    )
    assert explained["lines"][0]["for_planner"] == [
        "Line L7, item SKU-1: 8 of 12 units promised; 4 wait, wanted on 2026-03-04 (partly_promised).",
        "8 units ship from DC-CANARY by CANARYPOST on 2026-03-05 and arrive on 2026-03-06.",
        f"{bound} It would help: 44444 more units at DC-CANARY.",
    ]
    assert explained["lines"][0]["for_customer"] == (
        "8 of 12 will arrive by 2026-03-06. We will tell you when the rest can be delivered."
        " The quantity that you asked for is not available for that day."
    )


def test_the_lines_that_got_least_come_first_and_a_reason_is_told_once() -> None:
    late = _line("promised_late", _why("supply"), _why("protection"))
    explained = _explained(_document("promised", late, _line("unknown_item", _why("item"))))
    assert [line["outcome"] for line in explained["lines"]] == ["unknown_item", "promised_late"]
    assert explained["lines"][1]["for_customer"].count("not available") == 1


@pytest.mark.parametrize("cause", CAUSES)
def test_every_change_is_told_with_what_it_changed(cause: str) -> None:
    before = _document("held", {**_line("backordered"), "promised": 0, "schedule": []}, held_until=DECIDED)
    after = _document("promised", _line("partly_promised"), revision=2)
    former = FormerRevision(1, cause, datetime(2026, 3, 2, tzinfo=UTC), orjson.dumps(before))
    (change,) = _explained(after, former)["changes"]
    assert change["cause"] == cause
    assert change["for_planner"].startswith("Revision 2: ")
    assert change["for_planner"].endswith("promised went from 0 to 8; the state from held to promised.")


def test_a_revision_that_was_stored_after_the_document_was_read_is_left_out() -> None:
    document = _document("promised", _line("promised"))
    later = FormerRevision(1, "confirmed", datetime(2026, 3, 2, tzinfo=UTC), orjson.dumps(document))
    assert _explained(document, later)["changes"] == []


@pytest.mark.parametrize("cause", get_args(RiskCause))
def test_what_is_at_risk_is_told_at_the_head_and_to_the_customer_without_figures(cause: RiskCause) -> None:
    part = UncoveredPart("L7", 1, "DC-CANARY", 8, 3, 739_678, None, cause, datetime(2026, 3, 2, tzinfo=UTC))
    explained = _explained(_document("confirmed", _line("promised")), uncovered=(part,))
    assert explained["for_planner"][-1].endswith(
        "line L7, 3 of 8 units at DC-CANARY for 2026-03-03 are not covered; no known supply covers it."
    )
    assert "may be delayed" in explained["lines"][0]["for_customer"]
    assert OURS.findall(_told_to_customer(explained)) == []


@pytest.mark.parametrize(
    ("outcome", "kind", "told"),
    [
        ("no_source", "lane", "We do not deliver this article to the destination that you gave."),
        ("unknown_item", "item", "We do not know this article; please check its number."),
        ("stopped", "stop", "This article cannot be delivered at the moment; we will tell you as soon as it can."),
        ("not_backordered", "supply", "This article is sold out for the day that you asked for."),
    ],
)
def test_a_customer_is_told_a_reason_once(outcome: str, kind: str, told: str) -> None:
    line = _line(outcome, _why(kind), _why(kind, "another")) | {"promised": 0, "schedule": []}
    assert _explained(_document("promised", line))["lines"][0]["for_customer"] == told


def test_an_order_of_which_all_waits_is_not_said_to_be_deliverable() -> None:
    waiting = _line("backordered", _why("supply")) | {"promised": 0, "backordered": 12, "schedule": []}
    told = _explained(_document("promised", waiting))
    assert told["for_customer"] == "We have your order and cannot confirm a day of delivery for any of it yet."
    assert _explained(_document("promised", waiting, _line("promised")))["for_customer"].startswith("We can deliver")
