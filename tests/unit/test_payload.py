import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from services.contracts.payload import Day, Identifier, Moment, Money, Note, Payload


class Sample(Payload):
    day: Day | None = None
    moment: Moment | None = None
    money: Money | None = None
    note: Note = ""
    name: Identifier | None = None


def _read(**fields: object) -> Sample:
    return Sample.model_validate_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-03-02T10:15:00Z", datetime(2026, 3, 2, 10, 15, tzinfo=UTC)),
        ("2026-03-02T10:15:00+02:00", datetime(2026, 3, 2, 8, 15, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_as_utc(written: str, read: datetime) -> None:
    assert _read(moment=written).moment == read


def test_days_and_amounts_are_read_exactly() -> None:
    assert _read(day="2026-03-02", money="0.100000") == Sample(day=date(2026, 3, 2), money=Decimal("0.100000"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("day", 20260302),
        ("day", "1772409600"),
        ("day", "2026-3-2"),
        ("day", "1969-12-31"),
        ("day", "2200-01-01"),
        ("day", "0000-00-00"),
        ("day", True),
        ("moment", 1772409600),
        ("moment", "1772409600"),
        ("moment", "2026-03-02T10:15:00"),
        ("moment", "0001-01-01T00:00:00+14:00"),
        ("moment", "9999-12-31T23:59:59-14:00"),
        ("money", "1e3"),
        ("money", "1_000"),
        ("money", " 1"),
        ("money", "-1"),
        ("money", "NaN"),
        ("money", 10**18),
        ("money", "0.1234567"),
        ("note", "a\u0000b"),
        ("note", "x" * 501),
        ("name", "tail "),
        ("name", "a\nb"),
        ("name", "x" * 129),
        ("other", 1),
    ],
)
def test_what_could_be_misread_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        _read(**{field: value})
