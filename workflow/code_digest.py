"""Digest of the code that a rule runs: what it imports, without comments and docstrings."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def code_digest(rule: str) -> str:
    """Return 16 hexadecimal digits over the syntax of a rule's entry and of all modules that it reaches.

    `pipeline.py` holds a function per step: of it, only the functions that the entry names (and what those use) count,
    so that a change in geometry does not read a picture again.
    """
    seen: dict[str, str] = {}
    entry = _tree(SCRIPTS / f"{rule}.py")
    seen[rule] = ast.dump(entry)
    _follow(entry, seen)
    joined = "\n".join(f"{name} {seen[name]}" for name in sorted(seen))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def _follow(tree: ast.AST, seen: dict[str, str]) -> None:
    for module in _imports(tree):
        if module == "phi_deid_pipeline.pipeline":
            _follow_pipeline(tree, seen)
        elif module not in seen and (path := _path(module)):
            seen[module] = ""
            found = _tree(path)
            seen[module] = ast.dump(found)
            _follow(found, seen)


def _follow_pipeline(user: ast.AST, seen: dict[str, str]) -> None:
    pipeline = _tree(SCRIPTS / "phi_deid_pipeline" / "pipeline.py")
    functions = {node.name: node for node in pipeline.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    shared = ast.Module([node for node in pipeline.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)], [])
    todo = [n.attr for n in ast.walk(user) if isinstance(n, ast.Attribute) and n.attr in functions]
    if todo:
        seen["phi_deid_pipeline.pipeline"] = ast.dump(shared)
        _follow(shared, seen)
    while todo:
        name = todo.pop()
        key = f"phi_deid_pipeline.pipeline.{name}"
        if key not in seen:
            seen[key] = ast.dump(functions[name])
            _follow(functions[name], seen)
            todo += [n.id for n in ast.walk(functions[name]) if isinstance(n, ast.Name) and n.id in functions]


def _imports(tree: ast.AST) -> list[str]:
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return sorted(found)


def _path(module: str) -> Path | None:
    base = SCRIPTS.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _tree(path: Path) -> ast.Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            body[0] = ast.Pass()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]  # imports for type checkers run nothing
    return tree


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
