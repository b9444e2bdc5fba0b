"""How an author is named in what is stored and published: the caller's subject, or the source of an event."""

import hashlib
import re
import unicodedata
from typing import Final

from services.segment_registry.domain.persons import person

_PLAIN: Final = re.compile(r"[!-~]{1,128}")


def author_of(subject: str) -> str:
    """The subject itself if it is a plain id, else its digest: it must fit the contracts that carry it.

    Ways to write one person that would differ in a digest are made one before.
    """
    name = unicodedata.normalize("NFKC", subject).strip()
    for written in (name, person(subject)):
        if _PLAIN.fullmatch(written):
            return written
    return "sha256:" + hashlib.sha256(person(subject).encode()).hexdigest()
