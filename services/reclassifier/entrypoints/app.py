"""The reclassifier's HTTP application: its routes in the shell that all services share."""

from typing import Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.chassis.audit.routes import audit_routes
from services.chassis.auth import Authenticator
from services.chassis.http import Readiness, create_app
from services.chassis.quiet import Look, Stir, quiet_route
from services.reclassifier.entrypoints.desk import Desk
from services.reclassifier.entrypoints.routes import routes

TITLE: Final = "Tiercel reclassifier"
DESCRIPTION: Final = (
    "Watches recorded orders by event time, keeps each customer's numbers, and proposes tier changes by a versioned"
    " rule set. It never changes a tier itself: the segment registry decides. Scopes: `reclassifier.read`,"
    " `reclassifier.write` (drafts of rule sets), `reclassifier.approve` (rule sets, moves that await a person, the"
    " fuse)."
)


def create_reclassifier_app(
    desk: Desk | None,
    *,
    version: str,
    authenticator: Authenticator,
    registry: CollectorRegistry,
    readiness: Readiness,
    quiet: Look,
    stir: Stir | None = None,
) -> FastAPI:
    """The application. Without a desk it has health and metrics only.

    `quiet` answers the driver of a replay, woken by `stir`.
    """
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
        app.include_router(quiet_route(quiet, stir or Stir()))
    return app
