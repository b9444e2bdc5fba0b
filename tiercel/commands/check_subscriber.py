"""`tiercel check-subscriber`: whether a program that follows the events ends with the right state."""

from collections.abc import Sequence

from tiercel.subscribers.check import Question, check

SHOWN_MAX = 3


def check_subscriber(command: Sequence[str], questions: Sequence[Question], *, histories: int, seed: int) -> bool:
    """Print what came of it; whether every question was answered rightly."""
    findings = check(command, questions, histories=histories, seed=seed)
    print(
        f"{findings.histories} histories, {findings.records} records, {findings.questions} questions: "
        f"{len(findings.differences)} histories with a wrong answer."
    )
    for each in findings.differences[:SHOWN_MAX]:
        print(f"history {each.history}, after {each.records} records: {each.question}")
        print(f"  right: {each.right}\n  told:  {each.answer}")
    return findings.passed
