"""No route of any service answers to a stranger: every one is tried, without credentials and without scopes.

The services are found by their folders, so a new one is tried from its first day.
"""

import importlib
import inspect
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import orjson
import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.chassis.auth import declared_routes, unprotected_routes
from services.chassis.event_log.port import EventLog
from services.chassis.lifecycle import ALL_ROLES, Role, Service
from services.chassis.settings import ChassisSettings, Form
from tests.support.http import Credentials, strangers_let_in

SERVICES = sorted(path.parent.name for path in (Path(__file__).parents[2] / "services").glob("*/bootstrap.py"))
PUBLIC = {"/livez", "/readyz", "/openapi.json", "/docs"}


@asynccontextmanager
async def _application(
    name: str, database_url: str, credentials: Credentials, roles: frozenset[Role] = ALL_ROLES
) -> AsyncIterator[FastAPI]:
    """The service's application, built by its own composition root and not started: a refusal needs no tables."""
    bootstrap = importlib.import_module(f"services.{name}.bootstrap")
    settings = importlib.import_module(f"services.{name}.settings")
    [chosen] = [
        each
        for each in vars(settings).values()
        if inspect.isclass(each) and issubclass(each, ChassisSettings) and each.__module__ == settings.__name__
    ]
    service = await bootstrap.build(
        chosen(form=Form.EMBEDDED),
        database_url=database_url,
        event_log=cast("EventLog", None),
        authenticator=credentials.authenticator(),
        roles=roles,
    )
    assert isinstance(service, Service)
    try:
        yield service.app
    finally:
        await service.stop()


def test_all_three_services_are_tried() -> None:
    assert {"atp", "reclassifier", "segment_registry"} <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
async def test_no_route_answers_to_a_stranger(name: str, database_url: str) -> None:
    credentials = Credentials()
    async with _application(name, database_url, credentials) as app:
        assert unprotected_routes(app) == []
        assert await strangers_let_in(app, credentials.headers()) == []
        assert {route.path for route in declared_routes(app) if route.public} == PUBLIC
        assert sum(len(route.methods) for route in declared_routes(app) if not route.public) >= 3


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("role", list(Role))
async def test_a_process_of_one_role_lets_no_stranger_in_either(name: str, role: Role, database_url: str) -> None:
    credentials = Credentials()
    async with _application(name, database_url, credentials, frozenset({role})) as app:
        assert unprotected_routes(app) == []
        assert await strangers_let_in(app, credentials.headers()) == []


@pytest.mark.parametrize("name", SERVICES)
async def test_every_operation_says_which_scope_it_asks_for(name: str, database_url: str) -> None:
    async with _application(name, database_url, Credentials()) as app:
        document = app.openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["security"], f"{method} {path}"
            assert all(scopes for each in operation["security"] for scopes in each.values()), f"{method} {path}"


@pytest.mark.parametrize("name", SERVICES)
async def test_the_description_is_valid_and_refers_to_nothing_that_is_missing(name: str, database_url: str) -> None:
    async with _application(name, database_url, Credentials()) as app:
        document = orjson.loads(orjson.dumps(app.openapi()))
    OpenAPIV31SpecValidator(document).validate()
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', orjson.dumps(document).decode()))
    assert references - set(document["components"]["schemas"]) == set()
