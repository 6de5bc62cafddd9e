"""Habits that are easy to lose: no machine in the sources, short modules, no error swallowed, tests that assert."""

from __future__ import annotations

import ast
import re
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


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_module_and_functions_are_short(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= MODULE_LINES
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [node.name for node in functions if node.end_lineno - node.lineno >= FUNCTION_LINES] == []


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_nothing_is_left_open(path: Path) -> None:
    assert LEFT_OPEN.findall(path.read_text(encoding="utf-8")) == []
    raised = [ast.unparse(node.exc) for node in ast.walk(tree(path)) if isinstance(node, ast.Raise) and node.exc]
    assert [text for text in raised if text.startswith("NotImplementedError")] == []


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_no_broad_exception_is_swallowed(path: Path) -> None:
    swallowed = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or {ast.unparse(item) for item in _types(node.type)} & BROAD
            if broad and all(isinstance(item, ast.Pass | ast.Continue) or _is_ellipsis(item) for item in node.body):
                swallowed.append(node.lineno)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("suppress", "contextlib.suppress"):
            swallowed += [node.lineno] if {ast.unparse(item) for item in node.args} & BROAD else []
    assert swallowed == []


def _types(node: ast.expr | None) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node] if node else []


def _is_ellipsis(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


TESTS = [path for path in python_files() if path.name.startswith("test_")]


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_every_test_can_fail(path: Path) -> None:
    functions = [
        node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert functions
    words = re.compile(r"raises|assert|check|expect|verify")
    assert [node.name for node in functions if not words.search(ast.unparse(node).split("\n", 1)[1])] == []


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_every_module_says_what_it_holds(path: Path) -> None:
    assert ast.get_docstring(tree(path)) or not path.read_text(encoding="utf-8").strip()
