"""The reclassifier's HTTP application: its routes in the shell that all services share."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI
from prometheus_client import CollectorRegistry

from services.chassis.audit.routes import audit_routes
from services.chassis.auth import Authenticator, Principal, require
from services.chassis.http import Readiness, create_app
from services.chassis.lifecycle import Quiet
from services.reclassifier.entrypoints.routes import Desk, routes

TITLE: Final = "Tiercel reclassifier"
DESCRIPTION: Final = (
    "Watches recorded orders by event time, keeps each customer's numbers, and proposes tier changes by a versioned"
    " rule set. It never changes a tier itself: the segment registry decides. Scopes: `reclassifier.read`,"
    " `reclassifier.write`."
)


def create_reclassifier_app(
    desk: Desk | None,
    *,
    version: str,
    authenticator: Authenticator,
    registry: CollectorRegistry,
    readiness: Readiness,
    quiet: Callable[[], Awaitable[Quiet]],
) -> FastAPI:
    """The application; `quiet` answers the driver of a replay. Without a desk it has health and metrics only."""
    app = create_app(
        title=TITLE,
        version=version,
        description=DESCRIPTION,
        authenticator=authenticator,
        registry=registry,
        readiness=readiness,
    )
    if desk is not None:
        app.include_router(routes(desk))
        app.include_router(
            audit_routes(
                lambda after, limit: desk.transactions.read(lambda reader: reader.page_of_audit(after, limit)),
                scope="reclassifier.read",
                what="rule sets",
            )
        )
        app.include_router(_internal_routes(quiet))
    return app


def _internal_routes(quiet: Callable[[], Awaitable[Quiet]]) -> APIRouter:
    router = APIRouter(tags=["internal"])

    @router.get("/internal/quiet", summary="Whether nothing is left to do, for the driver of a replay")
    async def get_quiet(_: Annotated[Principal, Depends(require("replay.drive"))]) -> dict[str, Any]:
        return (await quiet()).document()

    return router
