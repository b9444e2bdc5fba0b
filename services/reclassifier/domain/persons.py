"""Who is the same person: the subjects of credentials compared as people mean them.

Two credentials of one person may write the name in another case, width or composition of characters, or with a blank
about it. Whoever compares such names to keep two people apart compares `person` of them.
"""

import unicodedata


def person(subject: str) -> str:
    """The name in one form: compatibility characters composed, case folded, no blanks about it."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", subject).casefold()).strip()
