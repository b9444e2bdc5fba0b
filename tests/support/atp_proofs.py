"""What must hold of an ATP's database after whatever was done to it."""

from services.atp.adapters.decision_reader import PostgresDecisionReader
from services.atp.adapters.ledger import verify
from services.atp.adapters.oversell_audit import audit
from services.atp.application.replay_decision import replay
from tests.support.atp import Atp


async def prove(atp: Atp) -> None:
    """Aggregates are the ledger's, nothing was oversold or overbooked, every decision is made again from its record."""
    report = await verify(atp.database)
    assert (report.drifted, report.drifts) == (0, ())
    oversold = await audit(atp.database)
    assert (oversold.oversold, oversold.broken_chains, oversold.overbooked) == ({}, {}, {})
    reader = PostgresDecisionReader(atp.database)
    for (batch,) in await atp.fetch("SELECT decision_id FROM decision_batch ORDER BY 1"):
        for name in await reader.names(batch):
            for replayed in await replay(reader, name) or []:
                assert replayed.differences == (), replayed
