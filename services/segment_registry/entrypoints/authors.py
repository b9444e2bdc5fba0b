"""How an author is named in what is stored and published: the caller's subject, or the source of an event."""

import hashlib
import re
from typing import Final

_PLAIN: Final = re.compile(r"[!-~]{1,128}")


def author_of(subject: str) -> str:
    """The subject itself if it is a plain id, else its digest: it must fit the contracts that carry it."""
    if _PLAIN.fullmatch(subject):
        return subject
    return "sha256:" + hashlib.sha256(subject.encode()).hexdigest()
