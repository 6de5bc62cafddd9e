"""Digest of the code that a rule runs: what it imports, without comments and docstrings."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
PIPELINE = "phi_deid_pipeline.pipeline"


def code_digest(rule: str) -> str:
    """Return 16 hexadecimal digits over the syntax of a rule's entry and of all modules that it reaches.

    `pipeline.py` holds a function per step: of it, only the functions that the entry names (and what those use) count,
    so that a change in geometry does not read a picture again.
    """
    entry = _module(SCRIPTS / f"{rule}.py")
    seen = {rule: entry.syntax}
    _follow(entry, seen)
    joined = "\n".join(f"{name} {seen[name]}" for name in sorted(seen))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def remembered_digests(memory: Path) -> Callable[[str], str]:
    """Return `code_digest` with a memory: a file that holds the digests of the code as it stands, to the byte.

    Every start of Snakemake asks for all rules' digests, and on a cluster every job is such a start.
    """
    whole = hashlib.sha256(f"{sys.version_info[:2]}".encode() + Path(__file__).read_bytes())
    for path in sorted(SCRIPTS.rglob("*.py")):
        content = path.read_bytes()
        whole.update(f"{path.relative_to(SCRIPTS.parent)} {len(content)} ".encode() + content)
    key = whole.hexdigest()
    kept = json.loads(memory.read_bytes()) if memory.exists() else {}
    digests: dict[str, str] = kept.get(key, {})

    def digest(rule: str) -> str:
        if rule not in digests:
            digests[rule] = code_digest(rule)
            memory.parent.mkdir(mode=0o700, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False) as new:
                json.dump({key: digests}, new)
            Path(new.name).replace(memory)
        return digests[rule]

    return digest


@dataclass(frozen=True)
class _Code:
    """What of a piece of code decides a digest: its syntax (as a digest), what it imports, attributes and names it uses."""

    syntax: str
    imports: tuple[str, ...]
    attributes: frozenset[str]
    names: frozenset[str]


def _follow(code: _Code, seen: dict[str, str]) -> None:
    for module in code.imports:
        if module == PIPELINE:
            _follow_pipeline(code, seen)
        elif module not in seen and (path := _path(SCRIPTS, module)):
            found = _module(path)
            seen[module] = found.syntax
            _follow(found, seen)


def _follow_pipeline(user: _Code, seen: dict[str, str]) -> None:
    shared, functions = _pipeline(SCRIPTS / "phi_deid_pipeline" / "pipeline.py")
    todo = [name for name in functions if name in user.attributes]
    if todo:
        seen[PIPELINE] = shared.syntax
        _follow(shared, seen)
    while todo:
        name = todo.pop()
        key = f"{PIPELINE}.{name}"
        if key not in seen:
            seen[key] = functions[name].syntax
            _follow(functions[name], seen)
            todo += [other for other in functions if other in functions[name].names]


@cache
def _module(path: Path) -> _Code:
    return _code(ast.parse(path.read_text(encoding="utf-8")))


@cache
def _pipeline(path: Path) -> tuple[_Code, dict[str, _Code]]:
    """Return the code outside functions and classes, and that of each of them by its name."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    functions = {node.name: _code(node) for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    shared = ast.Module([node for node in body if not isinstance(node, ast.FunctionDef | ast.ClassDef)], [])
    return _code(shared), functions


def _code(tree: ast.AST) -> _Code:
    """Read a piece of code in one pass; docstrings and imports for type checkers count for nothing: they run nothing."""
    parts: list[str] = []
    imports: list[str] = []
    attributes, names = set(), set()

    def add(node: object) -> None:
        if not isinstance(node, ast.AST):
            parts.append(repr(node))
            return
        kind = type(node)
        parts.append(kind.__name__)
        if kind is ast.Name:
            names.add(node.id)
        elif kind is ast.Attribute:
            attributes.add(node.attr)
        elif kind is ast.Import:
            imports.extend(alias.name for alias in node.names)
        elif kind is ast.ImportFrom and node.module and not node.level:
            imports.extend([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
        for field in node._fields:
            value = getattr(node, field, None)
            if not isinstance(value, list):
                add(value)
                continue
            if field == "body":
                value = _running(node, value)
            parts.append(f"{field} {len(value)}")
            for one in value:
                add(one)

    add(tree)
    syntax = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return _Code(syntax, tuple(sorted(imports)), frozenset(attributes), frozenset(names))


def _running(node: ast.AST, body: list[ast.AST]) -> list[ast.AST]:
    """Return a body without its docstring, or nothing of a block for type checkers."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return []
    first = body[0] if body else None
    return body[1:] if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else body


@cache
def _path(scripts: Path, module: str) -> Path | None:
    base = scripts.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def resources_digest(folder: str) -> str:
    """Return 16 hexadecimal digits over the files below a folder, pages of documentation left out."""
    root = SCRIPTS.parent / folder
    names = (p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and p.suffix != ".md")
    return files_digest(folder, *names)


@cache
def files_digest(folder: str, *names: str) -> str:
    """Return 16 hexadecimal digits over names and bytes of files of a folder."""
    root = SCRIPTS.parent / folder
    digest = hashlib.sha256()
    for path in sorted(root / name for name in names):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
