"""`tiercel conformance`: the conformance cases against an endpoint."""

from pathlib import Path

from tiercel.conformance.mapping import read_mapping
from tiercel.conformance.run import read_cases, run_at, told


async def conformance(urls: list[str], mapping: Path, *, key: str, cases: Path | None) -> bool:
    """Print what came of every check; whether none failed.

    Raises:
        MappingError: the mapping file is not one.
    """
    findings = await run_at(named(urls), read_mapping(mapping), read_cases(cases), key=key)
    print(told(findings))
    return not any(each.verdict == "FAILED" for each in findings)


def named(urls: list[str]) -> dict[str, str]:
    """Addresses by name; one without a name is the first, and called so."""
    found: dict[str, str] = {}
    for url in urls:
        name, separator, address = url.partition("=")
        if separator and "/" not in name:
            found[name] = address
        else:
            found = {"first": url, **found}
    return found
