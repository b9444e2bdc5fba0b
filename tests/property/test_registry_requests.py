"""Change requests through random steps of several persons, against an auditor that knows only what each of them saw.

Whatever the order of steps: what is carried out was approved, as it stands, by somebody who wrote none of it; or it was
a draft of a tier, of which nobody was ever asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.segment_registry.domain import change_requests as domain
from services.segment_registry.domain.change_requests import ChangeRequest, RequestRefusal, RequestState
from services.segment_registry.domain.change_rules import ChangeRules

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULES = ChangeRules(request_valid_days=2, approval_valid_hours=5)
PERSONS = ("ann", "bob", "eve")
CLOSED = {RequestState.APPLIED, RequestState.REJECTED, RequestState.WITHDRAWN}

steps = st.lists(
    st.tuples(
        st.sampled_from(("edit", "edit looked", "submit", "redraft", "approve", "reject", "withdraw", "apply")),
        st.sampled_from(PERSONS),
        st.sampled_from(("{}", '{"a":1}')),  # the content that is written, or was looked at
        st.sampled_from((0, 1, 6, 60)),  # hours that pass before
    ),
    max_size=14,
)


@dataclass
class Auditor:
    """What happened, by those who did it."""

    content: str
    wrote: set[str]
    asked_at: datetime | None
    approved: tuple[str, str, datetime] | None = None
    revision: int = 1
    closed: bool = False

    def state(self, now: datetime) -> str:
        """Where it is."""
        if self.closed:
            return "closed"
        if self.approved is not None:
            return "approved" if now < self.approved[2] + timedelta(hours=5) else "expired"
        if self.asked_at is not None:
            return "open" if now < self.asked_at + timedelta(days=2) else "expired"
        return "draft"

    def allows(self, step: str, person: str, content: str, kind: str, now: datetime) -> bool:
        """Whether the rules as written allow a step."""
        state, author, same = self.state(now), person in self.wrote, content == self.content
        rules = {
            "edit": state in {"draft", "open"},
            "edit looked": state in {"draft", "open"} and self.revision == 1,
            "submit": state == "draft" and same,
            "redraft": state in {"open", "approved", "expired"} and author,
            "approve": state == "open" and not author and same,
            "reject": state in {"open", "approved"} and not author,
            "withdraw": state in {"draft", "open", "approved"} and author,
            "apply": state == "approved" or (state == "draft" and kind == "tier"),
        }
        return rules[step]

    def note(self, step: str, person: str, content: str, now: datetime) -> None:
        """What a step that was allowed has done."""
        match step:
            case "edit" | "edit looked":
                self.content, self.revision = content, self.revision + 1
                self.wrote.add(person)
            case "submit":
                self.asked_at = now
                self.wrote.add(person)
            case "redraft":
                self.asked_at = self.approved = None
            case "approve":
                self.approved = (person, content, now)
            case _:
                self.closed = True


def take(request: ChangeRequest, step: str, person: str, content: str, now: datetime) -> ChangeRequest | RequestRefusal:
    """One step by the domain."""
    kind = request.kind
    looked = ChangeRequest("", kind, content, "", ("x",), now, None).content_sha256
    ways: dict[str, Callable[[], ChangeRequest | RequestRefusal]] = {
        "edit": lambda: domain.edit(request, kind, content, "because", author=person, now=now),
        "edit looked": lambda: domain.edit(
            request, kind, content, "because", author=person, now=now, expected_revision=1
        ),
        "submit": lambda: domain.submit(request, person, looked, now=now, rules=RULES),
        "redraft": lambda: domain.redraft(request, person, now),
        "approve": lambda: domain.approve(request, person, looked, now=now, rules=RULES),
        "reject": lambda: domain.reject(request, person, "no", now),
        "withdraw": lambda: domain.withdraw(request, person, "no", now),
        "apply": lambda: domain.apply(request, person, now),
    }
    return ways[step]()


@given(steps, st.sampled_from(("tier", "assignments")), st.booleans())
def test_what_is_carried_out_was_approved_as_it_stands_or_asked_nobody(
    taken: list[tuple[str, str, str, int]], kind: str, drafted: bool
) -> None:
    now = START
    if drafted:
        request = domain.draft("r", kind, "{}", "because", "ann", now)
    else:
        request = domain.propose("r", kind, "{}", "because", "ann", now, RULES)
    auditor = Auditor("{}", {"ann"}, None if drafted else now)
    for step, person, content, hours in taken:
        now += timedelta(hours=hours)
        allowed = auditor.allows(step, person, content, kind, now)
        outcome = take(request, step, person, content, now)
        assert isinstance(outcome, ChangeRequest) is allowed, (step, person, content, request, outcome)
        if isinstance(outcome, RequestRefusal):
            continue
        request = outcome
        auditor.note(step, person, content, now)
        assert (request.content, request.revision) == (auditor.content, auditor.revision)
        assert auditor.wrote <= set(request.authors)
        assert (request.state in CLOSED) is auditor.closed
        if request.state is RequestState.APPLIED:
            approved = auditor.approved
            if approved is None:
                assert kind == "tier"
                assert auditor.asked_at is None
            else:
                assert approved[0] not in auditor.wrote
                assert approved[1] == request.content
