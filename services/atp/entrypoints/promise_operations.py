"""The API description of the hot routes, which the framework does not see. Tests hold it against what they answer."""

from collections.abc import Mapping
from typing import Any, Final

from services.atp.entrypoints.problem_codes import (
    CHANNEL_FORBIDDEN,
    ID_UNPRINTABLE,
    LINE_REPEATED,
    ORDER_DIFFERS,
    ORDER_VERSION_OLDER,
)
from services.chassis.problems import (
    BODY_TOO_LARGE,
    COMMIT_UNKNOWN,
    IDEMPOTENCY_KEY_REUSED,
    MALFORMED_JSON,
    OVERLOADED,
    VALIDATION_FAILED,
    problem_responses,
)

PLACE_OPERATION: Final[Mapping[str, Any]] = {
    "tags": ["promises"],
    "operationId": "place_order",
    "summary": "Promise an order; a decided order is answered 201, also when nothing could be promised",
    "description": "Sent again with equal content it answers the stored promise (200), with other content 409.",
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 128},
            "description": "the same key and body get the same bytes again; another body under it is refused (422)",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OrderPlaced"}}},
    },
    "responses": {
        "201": {
            "description": "Decided now",
            "headers": {"Location": {"schema": {"type": "string"}}},
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Promise"}}},
        },
        "200": {
            "description": "Decided before",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Promise"}}},
        },
        **{
            str(status): response
            for status, response in problem_responses(
                MALFORMED_JSON,
                CHANNEL_FORBIDDEN,
                ORDER_DIFFERS,
                ORDER_VERSION_OLDER,
                BODY_TOO_LARGE,
                VALIDATION_FAILED,
                LINE_REPEATED,
                ID_UNPRINTABLE,
                IDEMPOTENCY_KEY_REUSED,
                OVERLOADED,
                COMMIT_UNKNOWN,
            ).items()
        },
    },
}

BATCH_OPERATION: Final[Mapping[str, Any]] = {
    "tags": ["promises"],
    "operationId": "place_orders",
    "summary": "Promise up to 1,000 orders; each is answered as if it had come alone, in the order given",
    "parameters": PLACE_OPERATION["parameters"],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["items"],
                    "additionalProperties": False,
                    "properties": {
                        "items": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 1_000,
                            "items": {"$ref": "#/components/schemas/OrderPlaced"},
                        }
                    },
                }
            }
        },
    },
    "responses": {
        "200": {
            "description": "All answered; each item has the status that it would have had alone",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["items"],
                        "properties": {
                            "items": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["status"],
                                    "properties": {
                                        "status": {"type": "integer"},
                                        "promise": {"$ref": "#/components/schemas/Promise"},
                                        "problem": {"$ref": "#/components/schemas/Problem"},
                                    },
                                },
                            }
                        },
                    }
                }
            },
        },
        **{
            str(status): response
            for status, response in problem_responses(MALFORMED_JSON, BODY_TOO_LARGE, VALIDATION_FAILED).items()
        },
    },
}
