"""After an erasure no table, topic, export or log of any service holds a personal field, and the trails verify."""

import asyncio
from pathlib import Path
from typing import Any, Final

import asyncpg

from tests.support.serve import Served, tiercel
from tiercel.reaching import reach

SCHEMAS: Final = ("atp", "segment_registry", "reclassifier", "event_log", "business_clock")
PERSONAL: Final = {
    "contact_name": "Zebulon Quigglesworth",
    "email": "zebulon@quigglesworth.example",
    "phone": "+99 555 731 0042",
    "address": "Quibblestreet 77, Nowhereville",
}
PLANTED: Final = ("Quigglesworth", "quigglesworth", "731 0042", "Quibblestreet")


async def _rows_with(connection: "asyncpg.Connection[Any]", needle: str) -> list[str]:
    """The tables with a row that has the text in any column, bytes read as text."""
    tables = await connection.fetch(
        "SELECT table_schema AS schema, table_name AS name FROM information_schema.tables"
        " WHERE table_schema = ANY($1) AND table_type = 'BASE TABLE' ORDER BY 1, 2",
        list(SCHEMAS),
    )
    assert {table["schema"] for table in tables} >= {"atp", "segment_registry", "reclassifier", "event_log"}
    found = []
    for table in tables:
        place = f'"{table["schema"]}"."{table["name"]}"'
        binary = [
            row["column_name"]
            for row in await connection.fetch(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2"
                " AND data_type = 'bytea'",
                table["schema"],
                table["name"],
            )
        ]
        looks = ["t::text LIKE '%' || $1 || '%'", *(f'position($2 IN "{name}") > 0' for name in binary)]
        values = [needle, needle.encode()] if binary else [needle]
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {place} AS t WHERE {' OR '.join(looks)})", *values):
            found.append(place)
    return found


async def _holding(data: Path, needle: str) -> list[str]:
    async with reach(data) as reached:
        connection = await asyncpg.connect(reached.database_url)
        try:
            return await _rows_with(connection, needle)
        finally:
            await connection.close()


def test_no_table_topic_export_or_log_holds_what_was_erased(served: Served, tmp_path: Path) -> None:
    def ask(service: str, method: str, path: str, body: Any = None) -> Any:
        answer = served.ask(service, method, path, body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    names = {"identifiers": [{"system": "erp", "id": "C-7310042"}]}
    customer = ask("segment_registry", "POST", "/v1/customers", names)["customer_id"]
    path = f"/v1/customers/{customer}"
    ask("segment_registry", "PUT", f"{path}/personal", PERSONAL)
    ask("segment_registry", "POST", f"{path}/assignments", {"tier": "standard", "reason": "new"})
    ask("segment_registry", "PUT", f"{path}/record", {"strategic": True})
    assert asyncio.run(_holding(served.data, PLANTED[0])) == ['"segment_registry"."customer_personal"']
    assert asyncio.run(_holding(served.data, "C-7310042"))  # ids are elsewhere too: the search sees them
    bad = served.ask("segment_registry", "PUT", f"{path}/personal", PERSONAL | {"email": 7})
    assert bad.status_code == 422
    ask("segment_registry", "POST", f"{path}:erase", {"reason": "asked for"})
    export, trail = tmp_path / "tiers.csv", tmp_path / "audit.jsonl"
    to = ("--url", served.urls["segment_registry"], "--key", served.key)
    assert tiercel("customers", "export", str(export), *to).returncode == 0
    exported = tiercel("audit", "export", "segment_registry", str(trail), "--data", str(served.data))
    assert exported.returncode == 0, exported.stderr
    log = served.data.with_suffix(".log").read_text()
    said = export.read_text() + trail.read_text() + log + bad.text
    assert customer in said
    for needle in PLANTED:
        assert asyncio.run(_holding(served.data, needle)) == []
        assert needle not in said
    verified = tiercel("audit", "verify", "--data", str(served.data))
    assert verified.returncode == 0, verified.stdout + verified.stderr
