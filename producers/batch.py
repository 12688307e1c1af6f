"""What POST /v1/cases takes and gives: one application, or a batch with a result for each item."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from bus import Answer
from producers.answers import BatchAnswer, BatchResult, Taken
from producers.models import EXAMPLE, KEY_PATTERN, MAX_BATCH, BatchItem, Submission
from web import FieldError, field_errors, invalid, problem_of

M = TypeVar("M", bound=BaseModel)
_KEY = re.compile(KEY_PATTERN)


def _inline(schema: Any, known: Mapping[str, Any]) -> Any:
    """A JSON schema without references, so that it can stand anywhere in the OpenAPI document."""
    if isinstance(schema, list):
        return [_inline(part, known) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _inline(known[schema["$ref"].rpartition("/")[2]] | rest, known)
    return {key: _inline(value, known) for key, value in schema.items() if key != "$defs"}


def _schema_of(model: type[BaseModel]) -> Any:
    schema = model.model_json_schema()
    return _inline(schema, schema["$defs"])


_ITEMS = {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": _schema_of(BatchItem)}
_CASES = {
    "type": "object",
    "properties": {"cases": _ITEMS},
    "required": ["cases"],
    "additionalProperties": False,
}
REQUEST_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"anyOf": [_schema_of(Submission), _ITEMS, _CASES]},
            "examples": {
                "one": {"summary": "一件 / one case", "value": EXAMPLE},
                "batch": {
                    "summary": "批量 / a batch",
                    "value": {"cases": [EXAMPLE | {"key": "ZZ-2026-000018"}]},
                },
            },
        }
    },
}
"""For the OpenAPI document. The body is not left to FastAPI: one wrong item must not refuse a whole batch."""


def items_of(body: Any) -> list[Any] | None:
    """The items of a batch; None for a single application.

    Raises:
        Problem: 422, no batch, an empty one, or one with too many.
    """
    items = body["cases"] if isinstance(body, dict) and body.keys() == {"cases"} else body
    if items is body and not isinstance(items, list):
        return None
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_BATCH:
        wrong = "批量的件数不对 / has a wrong number of applications"
        raise invalid([FieldError("cases", wrong, f"an array of 1 to {MAX_BATCH}")])
    return items


def parsed(model: type[M], value: Any) -> M:
    """A request as its model.

    Raises:
        Problem: 422, names each wrong field.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(field_errors(error)) from None


def batch_answer(items: Sequence[Any], outcomes: Sequence[Answer | Exception]) -> BatchAnswer:
    """A result for each item, in their order."""
    results = [_result(index, *pair) for index, pair in enumerate(zip(items, outcomes, strict=True))]
    taken = sum(result.case is not None for result in results)
    return BatchAnswer(taken=taken, refused=len(results) - taken, results=results)


def _result(index: int, item: Any, outcome: Answer | Exception) -> BatchResult:
    given = item.get("key") if isinstance(item, dict) else None
    key = given if isinstance(given, str) and _KEY.fullmatch(given) else None
    if isinstance(outcome, Answer):
        return BatchResult(index=index, key=key, status=202, case=Taken.of(outcome))
    problem = problem_of(outcome)
    told = msgspec.to_builtins(problem.details())
    return BatchResult(index=index, key=key, status=problem.status, problem=told)
