"""Running a subscriber and comparing what it knows with what is right.

The program is started once a history. It reads JSON lines: a record

    {"topic", "key", "headers": {"ce_type", "ce_sequence", ...}, "value": {...} | null}

as a log would give it, and in between a question, for which it writes one line, its answer as JSON:

    {"question": "tiers", "at": MOMENT, "customers": [{"system", "id"}, ...]}   -> ["gold", ...]
    {"question": "picks", "location": CODE, "ship_date": DAY}                   -> [[order id, line, quantity], ...]
    {"question": "loads", "ship_date": DAY}                                     -> [[location, service, quantity], ...]

Only the questions that are named are asked, and only the topics that they need are told. The program ends when its
input does.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from threading import Timer
from typing import IO, Any, Final, Literal

from services.chassis.envelope import Event, headers_of
from tiercel.subscribers import promise_history, tier_history
from tiercel.subscribers.delivery import Told, deliver

Question = Literal["tiers", "picks", "loads"]
QUESTIONS: Final[tuple[Question, ...]] = ("tiers", "picks", "loads")
STEPS: Final = 60  # of a history; some hundred records
SECONDS_MAX: Final = 60.0  # for one history: a program that never answers is stopped then
ANSWER_MAX_CHARS: Final = 500  # of an answer that is shown


@dataclass(frozen=True, slots=True)
class Difference:
    """A question answered otherwise than is right, or not at all (`answer` None); `records` were told before it."""

    history: int
    records: int
    question: str
    right: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of all histories; nothing is right about a program that was asked nothing."""

    histories: int
    records: int
    questions: int
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether every question was answered, and rightly."""
        return self.questions > 0 and not self.differences


@dataclass(frozen=True, slots=True)
class _Ask:
    document: dict[str, Any]
    right: list[Any]


def check(
    command: Sequence[str],
    questions: Sequence[Question],
    *,
    histories: int,
    seed: int,
    seconds_max: float = SECONDS_MAX,
) -> Findings:
    """Tell a program some histories, and compare. Of each history the first difference is kept.

    A program that has not read a history and answered in `seconds_max` is stopped; what it did not answer is wrong.

    Raises:
        OSError: the program cannot be started.
    """
    records = asked = 0
    differences: list[Difference] = []
    for number in range(histories):
        lines = list(_script(Random(f"{seed}/{number}"), questions))  # noqa: S311 - a history to repeat, no secret
        records += sum(isinstance(line, Told) for line in lines)
        asked += sum(isinstance(line, _Ask) for line in lines)
        found = _run(command, number, lines, seconds_max)
        differences += [found] if found else []
    return Findings(histories, records, asked, tuple(differences))


def event_of(told: Told) -> Event:
    """The event of a record, with the attributes that Tiercel gives it."""
    return Event(
        id=f"{told.key}/{told.sequence}",
        type=told.type,
        source="tiercel",
        topic=told.topic,
        key=told.key,
        sequence=told.sequence,
        time=tier_history.BEGIN,
        data=b"" if told.value is None else json.dumps(told.value).encode(),
        correlation_id="check",
        causation_id="check",
    )


def _script(random: Random, questions: Sequence[Question]) -> Iterator[Told | _Ask]:
    if "tiers" in questions:
        tiers = tier_history.History(random, STEPS)
        follower = tier_history.Follower(tiers)
        for told in deliver(random, tiers.partitions, compacted=True):
            if told is None:
                found = follower.question(random)
                if found is not None:
                    yield _Ask(*found)
            else:
                follower.take(told)
                yield told
    wanted = [question for question in questions if question != "tiers"]
    if wanted:
        yield from _promises(random, wanted)


def _promises(random: Random, questions: Sequence[Question]) -> Iterator[Told | _Ask]:
    follower = promise_history.Follower()
    for told in deliver(random, promise_history.History(random, STEPS).partitions, compacted=False):
        if told is None:
            for question in questions:
                yield _Ask(*(follower.picks(random) if question == "picks" else follower.loads(random)))
        else:
            follower.take(told)
            yield told


def _run(command: Sequence[str], number: int, lines: Sequence[Told | _Ask], seconds_max: float) -> Difference | None:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:  # noqa: S603 - the program to check
        watch = Timer(seconds_max, program.kill)
        watch.start()
        try:
            return _compare(program, number, lines)
        finally:
            with suppress(BrokenPipeError):
                _pipe(program.stdin).close()
            program.wait()
            watch.cancel()


def _compare(program: "subprocess.Popen[str]", number: int, lines: Sequence[Told | _Ask]) -> Difference | None:
    to, back = _pipe(program.stdin), _pipe(program.stdout)
    records = 0
    for line in lines:
        answer = ""
        try:
            to.write((_as_record(line) if isinstance(line, Told) else json.dumps(line.document)) + "\n")
            if isinstance(line, _Ask):
                to.flush()
                answer = back.readline()
        except BrokenPipeError:
            return Difference(number, records, "a record", "", None)
        if isinstance(line, Told):
            records += 1
        elif _read(answer) != line.right:
            shown = answer.strip()[:ANSWER_MAX_CHARS] or None
            return Difference(number, records, json.dumps(line.document), json.dumps(line.right), shown)
    return None


def _read(answer: str) -> object:
    try:
        return json.loads(answer)
    except ValueError:
        return None


def _as_record(told: Told) -> str:
    return json.dumps(
        {"topic": told.topic, "key": told.key, "headers": headers_of(event_of(told)), "value": told.value}
    )


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None  # noqa: S101 - asked for above
    return pipe
