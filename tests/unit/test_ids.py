import time
from datetime import UTC, datetime

from services.chassis.ids import new_id, new_ids


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = new_id()
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"


def test_an_id_begins_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    assert before <= made.int >> 80 <= after
    assert datetime.fromtimestamp((made.int >> 80) / 1000, UTC).year >= 2026


def test_ids_of_one_call_are_different_and_ascend() -> None:
    made = new_ids(10_000)
    assert made == sorted(set(made))
    assert len(made) == 10_000
    assert {each.version for each in made} == {7}


def test_no_ids_are_no_ids() -> None:
    assert new_ids(0) == []
