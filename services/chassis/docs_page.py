"""The API's page for humans: one self-contained HTML file, no script or style from anywhere else."""

import base64
import hashlib
import html
import re
from functools import cache
from importlib import resources
from typing import Final

_TITLE: Final = "{{title}}"


@cache
def _template() -> str:
    return resources.files("services.chassis").joinpath("docs_page.html").read_text(encoding="utf-8")


@cache
def content_security_policy() -> str:
    """Allows the page's own script and style by their hashes, requests to its own origin, and nothing else."""
    script = _hash_of("script")
    style = _hash_of("style")
    return f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; frame-ancestors 'none'"


def _hash_of(tag: str) -> str:
    match = re.search(rf"<{tag}>(.*?)</{tag}>", _template(), re.DOTALL)
    if match is None:
        msg = f"the docs page has no <{tag}>"
        raise ValueError(msg)
    return f"'sha256-{base64.b64encode(hashlib.sha256(match[1].encode()).digest()).decode()}'"


def render_docs_page(title: str) -> str:
    """The page; it loads `/openapi.json` from where it was loaded itself."""
    return _template().replace(_TITLE, html.escape(title))
