"""Versions of documents in the headers of HTTP."""

import re
from typing import Final

from services.chassis.problems import BAD_REQUEST, Problem

_VERSION: Final = re.compile(r'"(0|[1-9][0-9]{0,15})"')


def etag(version: int) -> dict[str, str]:
    """The header that names the version of an answer."""
    return {"etag": f'"{version}"'}


def expected_version(if_match: str | None, if_none_match: str | None) -> int | None:
    """The version that must be there: 0 for none yet, None for any."""
    if if_none_match is not None:
        if if_none_match != "*" or if_match is not None:
            raise Problem(BAD_REQUEST, "If-None-Match takes * only, and not beside If-Match")
        return 0
    if if_match is None:
        return None
    version = _VERSION.fullmatch(if_match)
    if version is None:
        raise Problem(BAD_REQUEST, 'If-Match takes one version in quotes, as the ETag gives it: "3"')
    return int(version[1])
