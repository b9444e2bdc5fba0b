"""The registry's HTTP application: its routes in the shell that all services share."""

from typing import Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.chassis.audit.routes import audit_routes
from services.chassis.auth import Authenticator
from services.chassis.edge import Limiter
from services.chassis.http import Readiness, create_app
from services.chassis.quiet import Look, Stir, quiet_route
from services.segment_registry.application.ports import Atp, Distances
from services.segment_registry.entrypoints.assignment_routes import assignment_routes
from services.segment_registry.entrypoints.bulk_routes import IMPORT_BODY_MAX_BYTES, IMPORT_PATH, bulk_routes
from services.segment_registry.entrypoints.change_request_routes import REQUESTS_PATH, change_request_routes
from services.segment_registry.entrypoints.change_rule_routes import change_rule_routes
from services.segment_registry.entrypoints.customer_routes import customer_routes
from services.segment_registry.entrypoints.desk import Desk
from services.segment_registry.entrypoints.feed_routes import feed_routes
from services.segment_registry.entrypoints.merge_routes import merge_routes
from services.segment_registry.entrypoints.record_routes import record_routes
from services.segment_registry.entrypoints.tier_plan_routes import tier_plan_routes
from services.segment_registry.entrypoints.tier_routes import tier_routes
from services.segment_registry.entrypoints.tier_service_routes import tier_service_routes

TITLE: Final = "Tiercel segment registry"
DESCRIPTION: Final = (
    "Owns tiers with their service policies, customers with their identifiers in other systems, and who is in which"
    " tier since when, until when, why and by whose decision. Scopes: `registry.read`, `registry.write`,"
    " `registry.import`, `registry.approve` (change requests), `registry.govern` (the rules of change),"
    " `registry.personal` (personal fields) and `registry.erase`."
    " A POST with an `Idempotency-Key` is done once: sent again it gets the same bytes again."
)
IMPORT_DEADLINE_SECONDS: Final = 30.0  # a bulk may wait for another one that holds the same customers


def create_registry_app(
    desk: Desk | None,
    *,
    version: str,
    authenticator: Authenticator,
    registry: CollectorRegistry,
    readiness: Readiness,
    quiet: Look,
    stir: Stir | None = None,
    limiter: Limiter | None = None,
    atp: Atp | None = None,
    reclassifier: Distances | None = None,
) -> FastAPI:
    """The application. Without a desk it has health and metrics only.

    `quiet` answers the driver of a replay, woken by `stir`. `atp` previews change requests and tells what
    was measured, `reclassifier` how far customers are from other tiers.
    """
    app = create_app(
        title=TITLE,
        version=version,
        description=DESCRIPTION,
        authenticator=authenticator,
        registry=registry,
        readiness=readiness,
        body_limits_bytes={IMPORT_PATH: IMPORT_BODY_MAX_BYTES, REQUESTS_PATH: IMPORT_BODY_MAX_BYTES},
        deadlines_seconds={IMPORT_PATH: IMPORT_DEADLINE_SECONDS},
        limiter=limiter,
    )
    if desk is None:
        return app
    for router in (
        tier_routes(desk),
        tier_plan_routes(desk),
        tier_service_routes(desk, atp),
        customer_routes(desk),
        assignment_routes(desk, reclassifier),
        record_routes(desk),
        merge_routes(desk),
        feed_routes(desk),
        change_rule_routes(desk),
        change_request_routes(desk, atp),
        bulk_routes(desk),
        audit_routes(
            lambda after, limit: desk.transactions.read(lambda reader: reader.page_of_audit(after, limit)),
            scope="registry.read",
            what="tiers, customers and assignments",
        ),
        quiet_route(quiet, stir or Stir()),
    ):
        app.include_router(router)
    return app
