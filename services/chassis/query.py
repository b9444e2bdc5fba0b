"""Query strings of hot routes: read as a model, and described as OpenAPI parameters.

As FastAPI reads them: of a parameter that is given twice the last one counts, one that the model does not know is
ignored unless the model forbids it, and an empty one is a value.
"""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from services.chassis.problems import validation_problem

Model = TypeVar("Model", bound=BaseModel)


def read_query(request: Request, model: type[Model]) -> Model:
    """The query as this model. Raises Problem (422)."""
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise validation_problem(errors, ("query",)) from None


def query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The `parameters` of an OpenAPI operation whose query is this model, whose fields refer to no other models."""
    schema = model.model_json_schema()
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null_default(field)}
        for name, field in schema["properties"].items()
    ]


def _without_null_default(field: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out is no parameter that is null."""
    return {key: value for key, value in field.items() if key != "default" or value is not None}
