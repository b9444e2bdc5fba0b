"""A real Apache Kafka for tests: the broker of TIERCEL_TEST_KAFKA (`host:port`; `make stack-up` starts one)."""

import os

import pytest

from tests.support.session import real_parts_are_required


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    """The address of a broker. Without one the test is skipped; under CI=true it fails."""
    bootstrap = os.environ.get("TIERCEL_TEST_KAFKA")
    if bootstrap:
        return bootstrap
    reason = "needs Apache Kafka: run `make stack-up` and set TIERCEL_TEST_KAFKA=host:port"
    if real_parts_are_required():
        pytest.fail(reason)
    pytest.skip(reason)
