"""The partition of a key is the one that other clients choose."""

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as as_aiokafka_does
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.event_log.partitions import murmur2, partition_of


@given(st.binary(max_size=70))
def test_the_hash_is_that_of_kafkas_clients(key: bytes) -> None:
    assert murmur2(key) == as_aiokafka_does(key)


def test_the_hash_of_a_known_key_is_that_of_the_java_client() -> None:
    """From `UtilsTest.testMurmur2` of Apache Kafka, as numbers without sign."""
    assert murmur2(b"21") == -973932308 % 2**32
    assert murmur2(b"foobar") == -790332482 % 2**32
    assert murmur2(b"a-little-bit-long-string") == -985981536 % 2**32


@given(st.binary(max_size=40), st.integers(1, 64))
def test_a_key_goes_to_the_partition_to_which_other_clients_send_it(key: bytes, count: int) -> None:
    assert partition_of(key, count) == DefaultPartitioner()(key, list(range(count)), list(range(count)))
