"""The subscribers of the guide under the check, and what the check finds wrong with others."""

import asyncio
import shutil
import sys
from pathlib import Path
from random import Random
from typing import Final

import pytest

from services.chassis.envelope import to_record
from services.chassis.event_log.kafka import KafkaEventLog
from services.chassis.event_log.port import TopicSpec
from services.chassis.event_log.prefixed import PrefixedEventLog
from services.contracts.topics import PROMISES, SEGMENTS_CURRENT, SEGMENTS_POLICIES
from tests.support.guides import BLOCK
from tests.support.kafka import new_topic_name
from tests.support.serve import PROJECT, tiercel
from tiercel.subscribers import promise_history
from tiercel.subscribers.check import QUESTIONS, check, event_of
from tiercel.subscribers.delivery import deliver

GUIDES = PROJECT / "docs" / "guides"
PROGRAMS = GUIDES / "subscribers"
FOLLOWED: Final = (SEGMENTS_CURRENT, SEGMENTS_POLICIES, PROMISES)


def test_the_commands_of_the_guide_find_both_subscribers_right() -> None:
    [commands] = BLOCK.findall((GUIDES / "following-events.md").read_text())
    told = [
        tiercel(*line.replace("-- python docs", f"-- {sys.executable} {PROJECT}/docs").split()[1:])
        for line in commands.splitlines()
    ]
    assert len(told) == 2
    for each in told:
        assert each.returncode == 0, each.stdout + each.stderr
        assert "25 histories" in each.stdout
        assert each.stdout.endswith(" 0 histories with a wrong answer.\n")


MISTAKES = [
    ("wms.py", 'known is None or known["sequence"] < value["sequence"]', "True", "the last record wins"),
    ("wms.py", 'place = (each.get("kind") == "override", begins,', "place = (begins,", "an override is like any other"),
    ("wms.py", "if begins <= at and", "if", "a planned move counts at once"),
    ("wms.py", "and (ends is None or at < datetime.fromisoformat(ends))", "", "an override never ends"),
    ("wms.py", 'customer = self.customers.get(customer["merged_into"])', "break", "a merge is not followed"),
    ("wms.py", 'customer.get("status", "active") ==', 'customer["status"] ==', "what has its default is expected"),
    ("wms.py", 'held is None or held["version"] < value["version"]', "True", "the last default wins"),
    ("wms.py", "best, tier = None, self.default", "best, tier = None, None", "a stranger has no tier"),
    (
        "wms.py",
        "        if value is None:\n            return",
        '        if value is None:\n            self.customers.pop(record["key"], None)\n            return',
        "what is deleted is forgotten",
    ),
    ("tms.py", 'known is None or known["revision"] < promise["revision"]', "True", "the last answer wins"),
    ("tms.py", 'if promise["state"] in LIVE:', "if True:", "what is cancelled is loaded"),
    ("tms.py", 'promise = value["new"]', 'promise = value["old"]', "nothing ever changes"),
]


@pytest.mark.parametrize(("program", "right", "wrong", "_why"), MISTAKES, ids=[each[3] for each in MISTAKES])
def test_a_subscriber_with_a_mistake_is_found_out(
    tmp_path: Path, program: str, right: str, wrong: str, _why: str
) -> None:
    for path in PROGRAMS.glob("*.py"):
        shutil.copy(path, tmp_path)
    following = tmp_path / "following.py"
    assert right in following.read_text()
    following.write_text(following.read_text().replace(right, wrong))
    questions = [question for question in QUESTIONS if (question == "loads") == (program == "tms.py")]
    found = check([sys.executable, str(tmp_path / program), "--check"], questions, histories=20, seed=7)
    assert not found.passed


@pytest.mark.parametrize(
    "program", ["raise SystemExit(3)", "print({})", "import sys\nfor line in sys.stdin:\n    pass"]
)
def test_a_program_that_dies_or_says_nothing_has_not_passed(program: str) -> None:
    found = check([sys.executable, "-c", program], ["loads"], histories=1, seed=1, seconds_max=5)
    assert not found.passed


def test_a_question_that_there_is_not_is_refused() -> None:
    done = tiercel("check-subscriber", "--question", "weather", "--", "true")
    assert done.returncode == 2
    assert "--question is tiers, picks or loads" in done.stderr


@pytest.mark.kafka
async def test_both_subscribers_read_from_a_broker_what_they_are_asked_for(kafka_bootstrap: str) -> None:
    prefix, random, right = f"{new_topic_name()}.", Random(11), promise_history.Follower()
    told = [each for each in deliver(random, promise_history.History(random, 60).partitions, compacted=False) if each]
    log = PrefixedEventLog(KafkaEventLog(kafka_bootstrap), prefix)
    await log.ensure_topics([TopicSpec(topic.name, topic.partitions) for topic in FOLLOWED])
    for each in told:
        right.take(each)
    producer = await log.producer("test")
    await producer.publish([to_record(event_of(each)) for each in told], deadline_seconds=30)
    await log.close()
    day = promise_history.FIRST_DAY.isoformat()
    loads = await _printed("tms.py", kafka_bootstrap, day, "--prefix", prefix)
    picks = await _printed("wms.py", kafka_bootstrap, "DC-2", day, "--prefix", prefix)
    assert loads == [f"{location} by {service}: {quantity}" for location, service, quantity in right.loads_on(day)]
    expected = right.picks_at("DC-2", day)
    assert picks == [f"order {order} line {line}: {quantity}" for order, line, quantity in expected]
    assert loads
    assert picks


async def _printed(program: str, *arguments: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAMS / program), *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    return out.decode().splitlines()
