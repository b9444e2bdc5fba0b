"""Who may import whom: the contracts in .importlinter hold, and they bite."""

import configparser
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def _lint(configuration: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1], no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", script, str(configuration)], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_the_contracts_hold() -> None:
    done = _lint(PROJECT / ".importlinter", PROJECT)
    assert done.returncode == 0, done.stdout


VIOLATIONS = {
    "services.chassis.bad": "import services.contracts",
    "services.contracts.bad": "import services.chassis",
    "services.atp.domain.bad": "import services.atp.application",
    "services.atp.application.bad": "import services.atp.adapters",
    "services.atp.adapters.bad": "import services.atp.entrypoints",
    "services.atp.entrypoints.bad": "import services.segment_registry",
    "services.reclassifier.domain.bad": "import pydantic",
    "services.segment_registry.application.bad": "import asyncpg",
    "services.reclassifier.bad": "import tiercel",
}


def test_an_import_across_a_border_is_found(tmp_path: Path) -> None:
    """The tree's packages, empty but for the wrong imports: each of them is named."""
    for package in _packages():
        folder = tmp_path.joinpath(*package.split("."))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text("")
    for module, statement in VIOLATIONS.items():
        tmp_path.joinpath(*module.split(".")).with_suffix(".py").write_text(statement + "\n")
    done = _lint(PROJECT / ".importlinter", tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert [module for module in VIOLATIONS if module not in done.stdout] == []


def _packages() -> list[str]:
    inner = [
        f"services.{service}{layer}"
        for service in ("atp", "segment_registry", "reclassifier")
        for layer in ("", ".domain", ".application", ".adapters", ".entrypoints")
    ]
    return ["services", "services.chassis", "services.contracts", "tiercel", *inner]


def test_every_service_is_under_the_contracts() -> None:
    configuration = configparser.ConfigParser()
    configuration.read(PROJECT / ".importlinter")
    under = set(configuration["importlinter:contract:services"]["modules"].split())
    folders = {path.parent.name for path in (PROJECT / "services").glob("*/domain")}
    assert under == {f"services.{folder}" for folder in folders}
