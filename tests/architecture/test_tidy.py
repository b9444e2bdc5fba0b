"""The habits of the tree that a linter has no rule for. Each rule says what it prevents."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PRODUCT = [path for root in ("services", "tiercel") for path in sorted((PROJECT / root).rglob("*.py"))]
WRITTEN = PRODUCT + [path for root in ("tests", "bench") for path in sorted((PROJECT / root).rglob("*.py"))]
DOMAINS = [path for path in PRODUCT if "domain" in path.relative_to(PROJECT).parts]
CONTRACTS = sorted((PROJECT / "services" / "contracts").rglob("*.py"))

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
# Names that say where code was put, not what it is; such a module grows without end.
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "base", "misc", "shared"}
# What would make a decision depend on when, where or how often it is made.
IMPURE_MODULES = {
    "asyncio",
    "io",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "threading",
    "time",
    "uuid",
}
IMPURE_CALLS = {"now", "utcnow", "today", "open", "input", "print"}
UNORDERED = {"set", "frozenset", "AbstractSet", "MutableSet"}
ORDERED_BY = {"sorted", "len", "min", "max", "sum", "any", "all", "set", "frozenset"}


def _name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


@pytest.mark.parametrize("path", WRITTEN, ids=_name)
def test_files_and_functions_fit_in_a_head(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines"


def test_modules_are_named_after_what_they_are() -> None:
    named = {part for path in WRITTEN for part in path.relative_to(PROJECT).with_suffix("").parts}
    assert named & BANNED_NAMES == set()


@pytest.mark.parametrize("path", PRODUCT, ids=_name)
def test_nothing_is_swallowed(path: Path) -> None:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ExceptHandler) and all(isinstance(inner, ast.Pass) for inner in node.body):
            pytest.fail(
                f"line {node.lineno}: an error is caught and nothing is done; contextlib.suppress says it better"
            )


@pytest.mark.parametrize("path", CONTRACTS, ids=_name)
def test_the_published_language_imports_pydantic_only(path: Path) -> None:
    for module in _imports(_tree(path)):
        root = module.split(".")[0]
        assert root in sys.stdlib_module_names | {"pydantic", "pydantic_core"} or module.startswith(
            "services.contracts"
        ), module


@pytest.mark.parametrize("path", DOMAINS, ids=_name)
def test_a_domain_imports_the_pure_standard_library_and_itself(path: Path) -> None:
    own = ".".join(path.relative_to(PROJECT).parts[:3])
    for module in _imports(_tree(path)):
        root = module.split(".")[0]
        assert module.startswith(own) or root in sys.stdlib_module_names - IMPURE_MODULES, module


@pytest.mark.parametrize("path", DOMAINS, ids=_name)
def test_a_domain_has_no_float_no_async_no_clock_and_no_io(path: Path) -> None:
    for node in ast.walk(_tree(path)):
        where = f"line {getattr(node, 'lineno', '?')}"
        match node:
            case ast.Constant(value=float()) | ast.Name(id="float"):
                pytest.fail(f"{where}: a float; quantities and money are integers or Decimal")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                pytest.fail(f"{where}: / makes a float of integers; // says which way it rounds")
            case ast.AsyncFunctionDef() | ast.Await():
                pytest.fail(f"{where}: a decision waits for nothing")
            case ast.Call(func=ast.Attribute(attr=called)) | ast.Call(func=ast.Name(id=called)) if (
                called in IMPURE_CALLS
            ):
                pytest.fail(f"{where}: {called}() makes the decision depend on more than its arguments")


@pytest.mark.parametrize("path", DOMAINS, ids=_name)
def test_a_domain_does_not_iterate_over_sets(path: Path) -> None:
    """The order of a set of strings differs from process to process: somebody else would lose the last piece."""
    tree = _tree(path)
    unordered = {name for name, annotation in _annotations(tree) if _is_unordered_type(annotation)}
    for iterated in _iterated(tree):
        assert not _is_unordered(iterated, unordered), f"line {iterated.lineno}: {ast.unparse(iterated)} has no order"


def _annotations(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name | ast.Attribute):
            yield _last_name(node.target), node.annotation
        elif isinstance(node, ast.arg) and node.annotation is not None:
            yield node.arg, node.annotation


def _is_unordered_type(annotation: ast.expr) -> bool:
    outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return isinstance(outer, ast.Name | ast.Attribute) and _last_name(outer) in UNORDERED


def _iterated(tree: ast.Module) -> Iterator[ast.expr]:
    """What loops, comprehensions that keep an order, and sequence-making calls go over."""
    harmless = {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDERED_BY
        for argument in node.args
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.For):
            yield node.iter
        elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp) and id(node) not in harmless:
            yield from (generator.iter for generator in node.generators)
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"list", "tuple", "iter"}
        ):
            yield from node.args


def _is_unordered(node: ast.expr, names: set[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=called)):
            return called in {"set", "frozenset"}
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() | ast.Sub() | ast.BitXor(), right=right):
            return _is_unordered(left, names) or _is_unordered(right, names)
        case ast.Name() | ast.Attribute():
            return _last_name(node) in names
        case _:
            return False


def _last_name(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr
