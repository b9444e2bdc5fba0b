"""What all routes of the registry share: who asks, how a command is run once, and how an answer is written."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
from fastapi import Header, Request, Response

from services.chassis import problems, tracing
from services.chassis.auth import Principal
from services.chassis.idempotency import fingerprint
from services.chassis.problems import CORRELATION_KEY, Problem
from services.contracts.payload import ID_MAX_CHARS
from services.segment_registry.application.answer_once import Answer, Command, KeyReused, RequestKey, answer_once
from services.segment_registry.application.ports import Cause, Commander, LostRace, Transactions
from services.segment_registry.entrypoints.authors import author_of
from services.segment_registry.entrypoints.problem_codes import customer_unknown
from services.segment_registry.metrics import RegistryMetrics

IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=ID_MAX_CHARS, pattern=r"^[!-~]+$"),
]
_BAD_REQUEST: Final = 400


@dataclass(frozen=True, slots=True)
class Desk:
    """Where requests are answered."""

    transactions: Transactions
    metrics: RegistryMetrics

    async def run(self, request: Request, principal: Principal, command: Command, key: str | None) -> Response:
        """Run a command in one transaction and answer; under a key, at most once."""
        body = await request.body()
        once = None
        if key is not None:
            once = RequestKey(principal.subject, key, fingerprint(request.method, request.url.path, body))
        try:
            answer = await answer_once(self.transactions, command, once, label=request.scope["route"].path)
        except LostRace:
            raise Problem(problems.OVERLOADED) from None
        if isinstance(answer, KeyReused):
            raise Problem(problems.IDEMPOTENCY_KEY_REUSED)
        return response(answer)


def answer(document: dict[str, Any], status: int = 200) -> Answer:
    """An answer of plain values."""
    return Answer(status, orjson.dumps(document))


def problem_answer(request: Request, problem: Problem) -> Answer:
    """A refusal as an answer, so that it is remembered under its key like a success."""
    document = problem.document(request.scope.get(CORRELATION_KEY))
    return Answer(problem.status, orjson.dumps(document))


def response(answer: Answer, headers: dict[str, str] | None = None) -> Response:
    """The HTTP answer."""
    media_type = problems.MEDIA_TYPE if answer.status >= _BAD_REQUEST else "application/json"
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=media_type)


def commander(request: Request, principal: Principal) -> Commander:
    """Who gives a command."""
    correlation = str(request.scope.get(CORRELATION_KEY, ""))
    return Commander(author_of(principal.subject), Cause(correlation, correlation, tracing.traceparent.get()))


def see_customers(principal: Principal) -> None:
    """404 for a caller limited to account groups: no customer of the registry belongs to one."""
    if not principal.sees_account_group(None):
        raise customer_unknown()
