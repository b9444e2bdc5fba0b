"""Who made an event: proofs, what they cover, and the keys that they are checked with."""

from dataclasses import fields, replace
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from services.chassis.envelope import Event, from_record, to_record
from services.chassis.event_log.port import Received
from services.chassis.event_proofs import ProofCheck, ProofRefusal, Prover
from services.chassis.signing_keys import UnusableKey, ensure_key, make_key, public_half
from tests.support.proposal_keys import PROOFS, PROVER, a_stranger
from tests.unit.test_envelope import AT, EVENT

PROVEN = PROVER.prove(EVENT)
CHANGED: dict[str, Any] = {
    "id": "0199-2",
    "type": "order.placed.v2",
    "source": "urn:elsewhere",
    "topic": "orders.v2",
    "key": "order-8",
    "sequence": 4,
    "time": AT + timedelta(microseconds=1),
    "data": b'{"a":2}',
    "correlation_id": "c-2",
    "causation_id": "c-1",
    "dataschema": None,
    "subject": "order-8",
}
UNCOVERED = {"traceparent", "proof"}


def test_a_proven_event_is_believed_also_after_its_way_through_a_log() -> None:
    assert PROOFS.refusal(PROVEN) is None
    read = from_record(Received(to_record(PROVEN), partition=1, offset=2, at=AT))
    assert read == PROVEN
    assert PROOFS.refusal(read) is None


def test_an_event_without_a_proof_is_nobodys() -> None:
    assert PROOFS.refusal(EVENT) is ProofRefusal.MISSING
    assert PROOFS.refusal(replace(EVENT, proof="")) is ProofRefusal.MISSING


def test_every_attribute_is_covered_but_the_trace() -> None:
    assert {one.name for one in fields(Event)} == CHANGED.keys() | UNCOVERED


@pytest.mark.parametrize("name", CHANGED)
def test_a_proof_is_of_no_use_for_an_event_that_differs(name: str) -> None:
    assert PROOFS.refusal(replace(PROVEN, **{name: CHANGED[name]})) is ProofRefusal.WRONG


def test_who_passes_an_event_on_may_set_its_trace_anew() -> None:
    assert PROOFS.refusal(replace(PROVEN, traceparent=None)) is None


def test_the_same_moment_by_another_clock_is_the_same_event() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5)))
    assert PROOFS.refusal(replace(PROVEN, time=elsewhere)) is None


def test_text_does_not_run_from_one_attribute_into_the_next() -> None:
    proven = PROVER.prove(replace(EVENT, correlation_id="ab", causation_id="c"))
    assert PROOFS.refusal(replace(proven, correlation_id="a", causation_id="bc")) is ProofRefusal.WRONG


def test_a_key_that_nobody_knows_proves_nothing() -> None:
    assert PROOFS.refusal(a_stranger().prove(EVENT)) is ProofRefusal.KEY_UNKNOWN


def test_a_strangers_signature_under_a_known_name_proves_nothing() -> None:
    assert PROVEN.proof is not None
    forged = a_stranger().prove(EVENT).proof
    assert forged is not None
    named = PROVEN.proof.partition(".")[0] + "." + forged.partition(".")[2]
    assert PROOFS.refusal(replace(EVENT, proof=named)) is ProofRefusal.WRONG


@pytest.mark.parametrize("ending", ["", ".", ".AAAA", ".A", ".ü", ".=", "." + "A" * 86, ". "])
def test_what_is_no_signature_is_refused_like_a_wrong_one(ending: str) -> None:
    assert PROVEN.proof is not None
    named = PROVEN.proof.partition(".")[0]
    assert PROOFS.refusal(replace(EVENT, proof=named + ending)) is ProofRefusal.WRONG


def test_while_a_key_is_replaced_both_are_believed_and_afterwards_the_new_one_alone(tmp_path: Path) -> None:
    old, new = tmp_path / "old.key", tmp_path / "new.key"
    make_key(old)
    make_key(new)
    by_old, by_new = Prover.from_file(old).prove(EVENT), Prover.from_file(new).prove(EVENT)
    both = tmp_path / "both.pub"
    both.write_bytes(public_half(old).read_bytes() + public_half(new).read_bytes())
    assert [ProofCheck.from_file(both).refusal(each) for each in (by_old, by_new)] == [None, None]
    after = ProofCheck.from_file(public_half(new))
    assert [after.refusal(each) for each in (by_old, by_new)] == [ProofRefusal.KEY_UNKNOWN, None]


def test_a_file_without_public_keys_is_refused_and_so_is_a_private_one(tmp_path: Path) -> None:
    private = tmp_path / "a.key"
    make_key(private)
    public = public_half(private).read_bytes()
    for name, content in {
        "empty": b"",
        "nonsense": b"-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n",
        "private": private.read_bytes(),
        "twice": public + public,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnusableKey):
            ProofCheck.from_file(tmp_path / name)
    with pytest.raises(UnusableKey):
        ProofCheck.from_file(tmp_path / "missing")
    with pytest.raises(UnusableKey):
        Prover.from_file(public_half(private))


def test_a_key_whose_maker_was_killed_is_completed_and_a_whole_one_stays(tmp_path: Path) -> None:
    key = tmp_path / "proposal.key"
    key.touch()  # killed before anything was written
    ensure_key(key)
    private, public = key.read_bytes(), public_half(key).read_bytes()
    public_half(key).unlink()  # killed before the public half was written
    ensure_key(key)
    assert (key.read_bytes(), public_half(key).read_bytes()) == (private, public)
    proven = Prover.from_file(key).prove(EVENT)
    assert ProofCheck.from_file(public_half(key)).refusal(proven) is None
    key.write_bytes(b"not a key")
    with pytest.raises(UnusableKey):
        ensure_key(key)
