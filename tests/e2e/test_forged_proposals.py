"""Somebody who may write to `segments.proposals.v1`, against the registry and the reclassifier over a real Kafka."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.chassis.dead_letters import from_record as letter_of
from services.chassis.envelope import Event, from_record, to_record
from services.chassis.event_proofs import Prover
from services.contracts.catalogue import ORDER_RECORDED
from services.contracts.topics import SEGMENTS_PROPOSALS, dead_letters
from tests.support.processes import Deployment, deployed
from tests.support.proposal_keys import a_stranger
from tests.support.reclassifier_service import RULES, delivery, record
from tests.support.waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]


async def _start(deployment: Deployment) -> None:
    rules = deployment.folder / "rules.json"
    rules.write_text(json.dumps({**RULES, "minimum_dwell_days": 0}))
    deployment.environment = {**deployment.environment, "TIERCEL_RECLASSIFIER_RULE_SET_FILE": str(rules)}
    deployment.start("registry", "segment_registry")
    deployment.start("reclassifier", "reclassifier")
    await deployment.ready()
    for rank, tier in enumerate(("gold", "silver", "bronze"), start=1):
        body = {"name": tier, "priority_rank": rank}
        answer = await deployment.ask("registry", "PUT", f"/v1/tiers/{tier}", body)
        assert answer.is_success, answer.text


async def _customer(deployment: Deployment, name: str) -> str:
    body = {"identifiers": [{"system": "erp", "id": name}]}
    customer: str = (await deployment.ask("registry", "POST", "/v1/customers", body)).json()["customer_id"]
    answer = await deployment.ask("registry", "POST", f"/v1/customers/{customer}/assignments", {"tier": "bronze"})
    assert answer.is_success, answer.text
    return customer


async def _publish(deployment: Deployment, *events: Event) -> None:
    producer = await deployment.event_log.producer("whoever may write")
    await producer.publish([to_record(event) for event in events], deadline_seconds=60)
    await producer.close()


async def _order(deployment: Deployment, customer: str, order_id: str, quantity: int) -> None:
    now = datetime.now(UTC).isoformat()
    lines = [{"line": "1", "sku": "A", "quantity": quantity, "unit_price": "10.00"}]
    payload = record(order_id, customer, ordered_at=now, occurred_at=now, lines=lines)
    await _publish(deployment, delivery(ORDER_RECORDED, payload, key=order_id, name=f"recorded {order_id}").event)


async def _tiers(deployment: Deployment, *customers: str) -> list[str]:
    answers = [await deployment.ask("registry", "GET", f"/v1/customers/{one}/tier") for one in customers]
    return [answer.json()["tier"] for answer in answers]


async def _proposals(deployment: Deployment, count: int) -> list[Event]:
    reader = await deployment.event_log.reader([SEGMENTS_PROPOSALS.name])
    found: list[Event] = []
    while len(found) < count:
        found += [from_record(received) for received in await reader.poll(100, 1.0)]
    await reader.close()
    return found


async def _refused(deployment: Deployment) -> dict[str, float]:
    """What the registry counted, by reason."""
    text = (await deployment.ask("registry", "GET", "/metrics")).text
    pattern = rf'^tiercel_dead_letters_total{{reason="(proof_\w+)",topic="{SEGMENTS_PROPOSALS.name}"}} (\S+)'
    return {reason: float(count) for reason, count in re.findall(pattern, text, re.MULTILINE)}


async def _letters(deployment: Deployment, count: int) -> dict[str, str]:
    """The reasons of what was set aside, by event id."""
    reader = await deployment.event_log.reader([dead_letters(SEGMENTS_PROPOSALS.name)])
    found: dict[str, str] = {}
    while len(found) < count:
        for received in await reader.poll(100, 1.0):
            letter = letter_of(received)
            assert letter is not None
            found[from_record(letter.original).id] = letter.reason
    await reader.close()
    return found


def _with(event: Event, name: str, **changed: Any) -> Event:
    """The event as a new one, of what else its payload then says, under its old proof."""
    data = orjson.loads(event.data) | {"proposal_id": name} | changed
    return replace(event, id=name, key=data["customer_id"], data=orjson.dumps(data))


def _forgeries(genuine: Event, bystander: str) -> Mapping[str, tuple[Event, str]]:
    """What an attacker makes of a proposal that he has read, each as it would fit the customers as they are now."""
    up = {"from_tier": "silver", "to_tier": "gold", "based_on_sequence": 3}
    of_bystander = {"customer_id": bystander, "from_tier": "bronze", "to_tier": "gold", "based_on_sequence": 2}
    return {
        "no proof": (replace(_with(genuine, "no proof", **up), proof=None), "proof_missing"),
        "another customer": (_with(genuine, "another customer", **of_bystander), "proof_wrong"),
        "a higher tier": (_with(genuine, "a higher tier", **up), "proof_wrong"),
        "another key": (a_stranger().prove(_with(genuine, "another key", **up)), "proof_key_unknown"),
    }


async def test_who_may_write_to_the_topic_of_proposals_can_move_nobody(database_url: str, kafka_bootstrap: str) -> None:
    async with deployed(database_url, kafka_bootstrap) as deployment:
        await _start(deployment)
        grower, bystander = [await _customer(deployment, name) for name in ("grower", "bystander")]
        for number in (1, 2):
            await _order(deployment, grower, f"G-{number}", 1)

        async def grown() -> bool:
            return await _tiers(deployment, grower) == ["silver"]

        await until(grown)
        (genuine,) = await _proposals(deployment, 1)
        assert genuine.proof is not None

        forged = _forgeries(genuine, bystander)
        await _publish(deployment, *(event for event, _ in forged.values()))
        assert await _letters(deployment, len(forged)) == {name: reason for name, (_, reason) in forged.items()}

        async def counted() -> bool:
            wanted = {"proof_missing": 1, "proof_wrong": 2, "proof_key_unknown": 1}
            return await _refused(deployment) == wanted

        await until(counted)
        await _publish(deployment, genuine)  # and the true one again, which is known
        await _order(deployment, grower, "G-3", 200)

        async def risen() -> bool:
            return await _tiers(deployment, grower, bystander) == ["gold", "bronze"]

        await until(risen)  # by the reclassifier alone, after all that was forged
        history = (await deployment.ask("registry", "GET", f"/v1/customers/{grower}/assignments")).json()["items"]
        assert [one["tier"] for one in history] == ["bronze", "silver", "gold"]
        warnings = [line for line in deployment.log_of("registry").splitlines() if '"dead_letter"' in line]
        assert [orjson.loads(line)["level"] for line in warnings] == ["warning"] * len(forged)
        assert not [line for line in warnings if grower in line or bystander in line]

        # What was refused was refused for its proof alone: the same, proven by the reclassifier's key, moves him.
        prover = Prover.from_file(deployment.folder / "proposal.key")
        await _publish(deployment, prover.prove(forged["another customer"][0]))

        async def moved() -> bool:
            return await _tiers(deployment, bystander) == ["gold"]

        await until(moved)
        assert deployment.stop() == dict.fromkeys(deployment.running, 0)
