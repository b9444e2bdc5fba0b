"""The ATP's HTTP application: its routes in the shell that all services share."""

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry

from services.atp.application.engine import Engine
from services.atp.application.quick_availability import QuickReads
from services.atp.application.read_promises import PromiseReader
from services.atp.entrypoints.availability_routes import add_availability_routes
from services.atp.entrypoints.cut_over_routes import CUT_OVER_PATH
from services.atp.entrypoints.promise_routes import (
    BATCH_BODY_MAX_BYTES,
    BATCH_DEADLINE_SECONDS,
    BATCH_PATH,
    add_promise_routes,
)
from services.atp.entrypoints.quick_route import add_quick_route
from services.chassis.auth import Authenticator
from services.chassis.edge import Limiter
from services.chassis.http import Readiness, create_app

TITLE: Final = "Tiercel ATP"
DESCRIPTION: Final = (
    "Promises orders by customer tier, keeps the promises true and says why. Scopes: `atp.promise`, `atp.read`,"
    " `atp.supply`, `atp.configure`, `atp.plan`, `atp.preview`, `atp.release`, `atp.cut_over`. An order is identified"
    " by (source, order id), for ever: sent again with equal content it gets the stored promise."
)


def create_atp_app(
    engine: Engine,
    reader: PromiseReader,
    routers: Sequence[APIRouter],
    *,
    serving: bool,
    version: str,
    authenticator: Authenticator,
    registry: CollectorRegistry,
    readiness: Readiness,
    limiter: Limiter | None = None,
) -> FastAPI:
    """The application; one that is not `serving` has health and metrics only."""
    app = create_app(
        title=TITLE,
        version=version,
        description=DESCRIPTION,
        authenticator=authenticator,
        registry=registry,
        readiness=readiness,
        body_limits_bytes={BATCH_PATH: BATCH_BODY_MAX_BYTES, CUT_OVER_PATH: BATCH_BODY_MAX_BYTES},
        deadlines_seconds={BATCH_PATH: BATCH_DEADLINE_SECONDS, CUT_OVER_PATH: BATCH_DEADLINE_SECONDS},
        limiter=limiter,
    )
    if serving:
        add_promise_routes(app, engine, reader)
        add_quick_route(app, QuickReads(engine))
        add_availability_routes(app, engine)
        for router in routers:
            app.include_router(router)
    return app
