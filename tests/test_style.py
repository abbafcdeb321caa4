"""What CONTRIBUTING says of sizes and docstrings, checked on every source file."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("lightning_mmdiff", "datamodules", "experiments", "reports", "slurm", "mmdiff", "benchmarks")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MOST_LINES, MOST_FUNCTION_LINES, MOST_ENTRIES = 250, 50, 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    """Every function and method of a file."""
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function))


@pytest.mark.parametrize("package", PACKAGES)
def test_files_and_functions_are_short(package: str) -> None:
    for path in (p for p in FILES if p.is_relative_to(ROOT / package)):
        assert len(path.read_text().splitlines()) <= MOST_LINES, path
        for function in functions(path):
            assert function.end_lineno - function.lineno < MOST_FUNCTION_LINES, f"{path}: {function.name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_four_arguments_or_more_are_explained(package: str) -> None:
    """Of public functions and methods that have a docstring of their own; a hook of Lightning has the signature it must."""
    missing = []
    for path in (p for p in FILES if p.is_relative_to(ROOT / package)):
        for function in functions(path):
            arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
            named = [a for a in arguments if a not in ("self", "cls")]
            text = ast.get_docstring(function)
            hook = {"trainer", "pl_module"} <= set(named)
            if len(named) >= 4 and text and not hook and not function.name.startswith("_") and "Args:" not in text:
                missing.append(f"{path.relative_to(ROOT)}: {function.name}({', '.join(named)})")
    assert not missing, "\n".join(missing)


def locale_dependent(call: ast.Call) -> bool:
    """Whether a call opens a file as text in the encoding of the user's locale."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    modes = [
        a.value for a in (*call.args, given.get("mode")) if isinstance(a, ast.Constant) and isinstance(a.value, str)
    ]
    if name == "open" and isinstance(call.func, ast.Attribute) and call.args and not modes:
        return False  # Image.open(path) and the like
    text = name in ("read_text", "write_text") and isinstance(call.func, ast.Attribute)
    return (text or (name == "open" and not any("b" in mode for mode in modes))) and "encoding" not in given


@pytest.mark.parametrize("package", PACKAGES)
def test_text_is_utf_8_in_any_locale(package: str) -> None:
    for path in (p for p in FILES if p.is_relative_to(ROOT / package)):
        calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        found = [f"{path}:{call.lineno}" for call in calls if locale_dependent(call)]
        assert not found, f"{found}: say encoding=, or use lightning_mmdiff.runtime.files.read_text"


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("path.read_text()", True), ("path.write_text(text)", True), ("path.open()", True), ("path.open('w')", True),
        ("open(path)", True), ("open(path, mode='w')", True), ("path.read_text(errors='replace')", True),
        ("path.read_text(encoding='utf-8')", False), ("path.open('rb')", False), ("open(path, 'wb')", False),
        ("Image.open(path)", False), ("workspace.open(config)", False), ("read_text(path)", False),
        ("open(path, 'w', encoding='utf-8')", False),
    ],
)  # fmt: skip
def test_locale_dependent_calls_are_told_apart(line: str, bad: bool) -> None:
    assert locale_dependent(ast.parse(line).body[0].value) is bad


def test_experiments_holds_tables_and_few_rooms() -> None:
    entries = [p for p in (ROOT / "experiments").iterdir() if p.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES


def test_no_comparison_with_the_name_of_a_method() -> None:
    pattern = re.compile(r"method (==|in|not in) ")
    for path in (
        p for p in FILES if p.is_relative_to(ROOT / "experiments") or p.is_relative_to(ROOT / "lightning_mmdiff")
    ):
        assert not pattern.search(path.read_text()), path


def test_every_package_says_what_it_is_for() -> None:
    for path in (p for p in FILES if p.name == "__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path
