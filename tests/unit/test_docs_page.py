"""The API's page for humans: whole in itself, harmless, and allowed by its own security policy."""

import re

import pytest

from services.chassis.docs_page import content_security_policy, render_docs_page
from tests.support.http import Credentials, app_for_tests, client_of


def test_it_loads_nothing_from_anywhere_else() -> None:
    page = render_docs_page("Test")
    assert re.findall(r"https?://", page) == []
    assert re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)", page) == []


def test_it_writes_text_and_never_markup_from_the_description() -> None:
    page = render_docs_page("Test")
    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "onclick="):
        assert risky not in page
    assert not re.search(r"<[a-z]+[^>]* (?:on[a-z]+|style)=", page)


def test_the_title_cannot_break_out() -> None:
    page = render_docs_page("</title><script>alert(1)</script>")
    assert "<script>alert(1)" not in page


def test_the_policy_allows_only_the_pages_own_script_and_style() -> None:
    policy = dict(part.strip().split(" ", 1) for part in content_security_policy().split(";"))
    assert policy["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", policy["script-src"])
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", policy["style-src"])
    assert policy["connect-src"] == "'self'"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_it_is_there_without_credentials(path: str) -> None:
    async with client_of(app_for_tests(Credentials())) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
