"""What the architecture tests read: the project's own files and their imports."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
PACKAGE = SCRIPTS / "phi_deid_pipeline"


@cache
def project_files() -> list[Path]:
    """Return every file that is or would be in git, sorted; without git, every file outside hidden folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0 and done.stdout.strip():
        names = done.stdout.splitlines()
    else:
        paths = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        hidden = {".venv", ".cache", ".git", ".snakemake", "__pycache__", "demo"}
        names = [path.as_posix() for path in paths if not hidden & set(path.parts)]
    return sorted({ROOT / name for name in names if (ROOT / name).is_file()})


def python_files() -> list[Path]:
    """Return the project's Python modules, tests included."""
    return [path for path in project_files() if path.suffix == ".py"]


def tree(path: Path) -> ast.Module:
    """Parse a module."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path, *, at_load: bool = False) -> set[str]:
    """Return the dotted names that a module imports, `from a import b` as `a` and `a.b`.

    What stands under TYPE_CHECKING is left out: it is no import. With `at_load` what stands in functions is, too.
    """
    found: set[str] = set()
    pending: list[ast.AST] = [tree(path)]
    while pending:
        node = pending.pop()
        if at_load and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(path, node)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        pending.extend(ast.iter_child_nodes(node))
    return found


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = path.relative_to(SCRIPTS).with_suffix("").parts[: -node.level]
    return ".".join([*parts, *([node.module] if node.module else [])])


def top(names: set[str]) -> set[str]:
    """Return the first parts of dotted names."""
    return {name.split(".")[0] for name in names}


def module_file(name: str) -> Path | None:
    """Return the project's file of a dotted module name, None where it is not the project's."""
    base = SCRIPTS / Path(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def reachable(path: Path, *, at_load: bool) -> set[str]:
    """Return all names that a module imports itself or through other modules of the project."""
    seen: set[Path] = set()
    found: set[str] = set()
    pending = [path]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        names = imports(current, at_load=at_load)
        found |= names
        pending += [file for name in names if (file := module_file(name)) is not None]
    return found
