"""The conformance cases over the public API of the whole product."""

import re

from tests.support.serve import Served, tiercel


def test_every_case_that_our_mapping_covers_passes(served: Served) -> None:
    done = tiercel(
        "conformance",
        *("--url", served.urls["atp"], "--url", f"registry={served.urls['segment_registry']}"),
        *("--mapping", "conformance/tiercel.yaml", "--key", served.key),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^passed +protection/P1$", done.stdout, re.MULTILINE), done.stdout
    assert "FAILED " not in done.stdout.replace("0 FAILED", "")
    assert done.stdout.rstrip().endswith("16 passed, 0 FAILED, 0 not offered"), done.stdout
