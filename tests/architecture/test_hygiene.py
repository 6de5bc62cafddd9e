"""Habits that are easy to lose: no machine in the sources, short modules, no error swallowed, tests that assert."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from architecture.sources import ROOT, project_files, python_files, tree

LIMIT_BYTES = 3_000_000
MODULE_LINES, FUNCTION_LINES = 800, 80
# Written in pieces, so that this file does not name them itself.
HOSTS = re.compile("|".join(["pypi" + r"\.org", "python" + "hosted", "deb" + r"\.debian", "registry" + r"\.npmjs"]))
ABSOLUTE = ["work" + "/(?:main|shared|steering)", "farm", "root", "home", "Users"]
PLACES = re.compile(r"(?<![\w.])/(?:" + "|".join(ABSOLUTE) + r")/?\b")
LEFT_OPEN = re.compile(r"\b(?:" + "TO" + "DO|FIX" + r"ME)\b")
BROAD = {"Exception", "BaseException"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts() -> list[tuple[str, str]]:
    found = []
    for path in project_files():
        if path.stat().st_size <= LIMIT_BYTES:
            found.append((relative(path), path.read_bytes().decode("utf-8", "replace")))
    return found


def test_there_is_something_to_look_at() -> None:
    assert len(python_files()) >= 30


def test_no_file_names_a_package_registry() -> None:
    assert [name for name, text in texts() if HOSTS.search(text)] == []


def test_no_file_names_a_place_on_a_machine() -> None:
    assert [name for name, text in texts() if PLACES.search(text)] == []


def test_no_dicom_file_is_in_the_tree() -> None:
    heads = {path: path.read_bytes()[128:132] for path in project_files() if path.stat().st_size < LIMIT_BYTES}
    assert [relative(path) for path, head in heads.items() if head == b"DICM" or path.suffix == ".dcm"] == []


def test_no_file_is_large() -> None:
    assert [relative(path) for path in project_files() if path.stat().st_size > LIMIT_BYTES] == []


# Each look returns what is wrong with a module, as many as there are.


def too_long(text: str, module: ast.Module) -> list[str]:
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [node.name for node in functions if node.end_lineno - node.lineno >= FUNCTION_LINES]
    return long + ["the module"] * (text.count("\n") > MODULE_LINES)


def left_open(text: str, module: ast.Module) -> list[str]:
    raised = [ast.unparse(node.exc) for node in ast.walk(module) if isinstance(node, ast.Raise) and node.exc]
    return LEFT_OPEN.findall(text) + [text for text in raised if text.startswith("NotImplementedError")]


def swallowed(text: str, module: ast.Module) -> list[int]:
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or {ast.unparse(item) for item in _types(node.type)} & BROAD
            if broad and all(isinstance(item, ast.Pass | ast.Continue) or _is_ellipsis(item) for item in node.body):
                found.append(node.lineno)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("suppress", "contextlib.suppress"):
            found += [node.lineno] if {ast.unparse(item) for item in node.args} & BROAD else []
    return found


def _types(node: ast.expr | None) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node] if node else []


def _is_ellipsis(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


def cannot_fail(text: str, module: ast.Module) -> list[str]:
    functions = [
        node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    words = re.compile(r"raises|assert|check|expect|verify")
    found = [node.name for node in functions if not words.search(ast.unparse(node).split("\n", 1)[1])]
    return found if functions else ["no test"]


def says_nothing(text: str, module: ast.Module) -> list[str]:
    return [] if ast.get_docstring(module) or not text.strip() else ["no docstring"]


LOOKS = (too_long, left_open, swallowed, cannot_fail, says_nothing)


@pytest.fixture(scope="module")
def complaints() -> dict[str, dict[str, list]]:
    """Return {look: {module: what is wrong}} of all modules that are not as they should be; each is parsed once."""
    found: dict[str, dict[str, list]] = {look.__name__: {} for look in LOOKS}
    for path in python_files():
        text, module = path.read_text(encoding="utf-8"), tree(path)
        for look in LOOKS:
            if (look is not cannot_fail or path.name.startswith("test_")) and (wrong := look(text, module)):
                found[look.__name__][relative(path)] = wrong
    return found


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.__name__)
def test_no_module_is_complained_of(complaints: dict[str, dict[str, list]], look: Callable) -> None:
    assert complaints[look.__name__] == {}


@pytest.mark.parametrize(
    ("look", "text"),
    [
        (too_long, "def f():\n" + "    pass\n" * FUNCTION_LINES),
        (too_long, "\n" * (MODULE_LINES + 1)),
        (left_open, "# TO" + "DO\n"),
        (left_open, "raise NotImplementedError('later')"),
        (swallowed, "try:\n    f()\nexcept (KeyError, Exception):\n    pass"),
        (swallowed, "with contextlib.suppress(Exception):\n    f()"),
        (cannot_fail, "def test_f():\n    f()"),
        (cannot_fail, "def f():\n    assert 1"),
        (says_nothing, "import os"),
    ],
)
def test_each_look_finds_what_it_looks_for(look: Callable, text: str) -> None:
    assert len(look(text, ast.parse(text))) == 1
