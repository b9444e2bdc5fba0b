"""The plug-ins of every test run. A module of fixtures in tests/support/ is registered here, once."""

pytest_plugins = [
    "tests.support.workers",
    "tests.support.session",
    "tests.support.postgres",
    "tests.support.kafka",
    "tests.support.redis",
    "tests.support.serve",
]
