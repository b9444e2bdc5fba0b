"""JSON that means one thing only, and HTTP bodies made of it.

Parsers disagree about NaN, repeated keys, half of a surrogate pair and numbers of ten thousand digits; what one part
reads, another may read otherwise. So such a text is refused (400), before any model sees it. The edge calls
`refuse_ambiguous` for every JSON body; `read_json_body` is for plain Starlette routes.
"""

import json
import re
from typing import Any, Final, NoReturn, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError

from services.chassis.problems import MALFORMED_JSON, UNSUPPORTED_MEDIA_TYPE, Problem, from_validation_error

BODY_KEY: Final = "tiercel.json_body"  # where the edge leaves a body that it has checked, in the ASGI scope
DEPTH_MAX: Final = 64  # the deepest payload of the contracts has 6 levels
Model = TypeVar("Model", bound=BaseModel)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Problem(MALFORMED_JSON, "an object has the same key twice")
    return members


def _no_constant(_: str) -> NoReturn:
    raise Problem(MALFORMED_JSON, "NaN and Infinity are not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_no_repeats, parse_constant=_no_constant)


def refuse_ambiguous(body: bytes | bytearray) -> None:
    """Raise Problem (400) if the body is not JSON, or JSON that two parsers may read in two ways."""
    if _is_plain(body):
        return
    if body.count(b"{") + body.count(b"[") > DEPTH_MAX and _depth(body) > DEPTH_MAX:
        raise Problem(MALFORMED_JSON, f"nested more than {DEPTH_MAX} levels deep")
    try:
        text = body.decode("utf-8")
        _decoder.decode(text)
        if "\\u" in text:
            _refuse_lone_surrogates(text)
    except (ValueError, RecursionError):  # ValueError: bad syntax, bad UTF-8, a number of more than 4,300 digits
        raise Problem(MALFORMED_JSON, "the body is not valid JSON") from None


def _is_plain(body: bytes | bytearray) -> bool:
    """Whether the body is of the kind that most are, which a compiled parser can vouch for; if not, look closer.

    Without a backslash every quotation mark begins or ends a text, so a key that came twice is missed when what was
    read is written again; written with indentation, what is too deep shows by its blanks, with which no text can begin
    a line.
    """
    if b"\\" in body or _LONG_NUMBER in body.translate(_DIGITS_ALIKE):
        return False
    try:
        again = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
    except (ValueError, orjson.JSONEncodeError):  # the latter, a TypeError, for what is too deep to be written
        return False
    return again.count(b'"') == body.count(b'"') and _TOO_DEEP not in again


def _depth(body: bytes | bytearray) -> int:
    """How deep it is nested, up to one more than may be: how often innermost pairs can be taken out."""
    brackets = _STRING.sub(b"", body).translate(None, delete=_NO_BRACKETS)
    for depth in range(DEPTH_MAX + 1):
        fewer = _PAIR.sub(b"", brackets)
        if len(fewer) == len(brackets):  # nothing is left, or what is left is unbalanced, which is no JSON
            return min(DEPTH_MAX + 1, depth + fewer.count(b"{") + fewer.count(b"["))
        brackets = fewer
    return DEPTH_MAX + 1


_DIGITS_ALIKE: Final = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER: Final = b"0" * 300  # the language reads up to 4,300 digits, other parsers as many as they like
_TOO_DEEP: Final = b"\n" + b"  " * DEPTH_MAX  # the members of the deepest allowed level may have so many blanks, too
_PAIR: Final = re.compile(rb"\{\}|\[\]")
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"{}[]"))


def _refuse_lone_surrogates(text: str) -> None:
    json.dumps(_decoder.decode(text), ensure_ascii=False).encode("utf-8")  # UnicodeEncodeError is a ValueError


async def read_json_body(request: Request, model: type[Model]) -> Model:
    """The body as this model. Raises Problem: 400, 413, 415 or 422."""
    body = request.scope.get(BODY_KEY)
    if body is None:
        require_json(request.headers.get("content-type", ""))
        body = await request.body()
        refuse_ambiguous(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise from_validation_error(error) from None


def is_json(content_type: str) -> bool:
    """Whether a content type says JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def require_json(content_type: str) -> None:
    """Raise Problem (415) unless the content type says JSON."""
    if not is_json(content_type):
        raise not_json()


def not_json() -> Problem:
    """The problem (415) of a body of another kind."""
    return Problem(UNSUPPORTED_MEDIA_TYPE, "send the body as application/json")
