"""Who may import whom: README.md, section Architecture."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from architecture.sources import PACKAGE, ROOT, SCRIPTS, imports, module_file, reachable, top, tree

STDLIB = set(sys.stdlib_module_names)
OWN = "phi_deid_pipeline"
RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
RULE_NAMES = {name for path in RULES for name in re.findall(r"^\s*(?:rule|checkpoint) (\w+):", path.read_text(), re.M)}
ENTRIES = sorted(SCRIPTS / f"{name}.py" for name in RULE_NAMES if (SCRIPTS / f"{name}.py").is_file())
MODULES = sorted(PACKAGE.rglob("*.py"))
AUDITS = [*sorted(SCRIPTS.glob("audit_*.py")), SCRIPTS / "record_io.py"]
FLAT = sorted(SCRIPTS.glob("*.py"))

DICOM = {"pydicom", "openjpeg", "imagecodecs", "jpeg_ls"}
TEXT = {"cv2", "onnxruntime", "pytesseract", "PIL", "rapidocr"}
TABLES = {"pandas", "pyarrow"}
ALL = DICOM | TEXT | TABLES | {"numpy", "SimpleITK", "yaml", "jsonschema", "snakemake", "rich"}

# Top part of a module's dotted name below the package -> third-party packages it may import.
LANGUAGE_MODULES = {"languages"}
POLICY_MODULES = {
    "phi_rules",
    "ps3_15_rules",
    "ps3_15_published",
    "policies",
    "policy_files",
    "policy_json",
    "policy_rows",
    "policy_yaml",
    "conformance",
}
ARRAYS = {"burned_in_text": TEXT | {"numpy"}, "geometry": {"numpy", "SimpleITK", "matplotlib"}}
ORCHESTRATION = {"pipeline"}
PURE = {"records", "errors", "data_dictionary", "han_forms", "identifiers", "value_objects", "expressions"}
SALTED = {"uid_mapping", "seal"}


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def own_imports(path: Path) -> set[str]:
    """Return the package's modules that a module imports (first part below the package)."""
    dotted = {name for name in imports(path) if name.startswith(f"{OWN}.") and module_file(name)}
    return {name.split(".")[1] for name in dotted}


def third_party(path: Path, *, at_load: bool = False) -> set[str]:
    flat = {file.stem for file in FLAT} | {OWN, "architecture"}
    return top(imports(path, at_load=at_load)) - STDLIB - flat


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) >= 15
    assert len(ENTRIES) >= 5


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_workflow_imports_neither_data_libraries_nor_the_library(path: Path) -> None:
    named = re.findall(r"^\s*(?:from|import)\s+(\w+)", path.read_text(encoding="utf-8"), re.M)
    local = {file.stem for file in (ROOT / "workflow").glob("*.py")}
    assert set(named) - STDLIB - local <= {"snakemake"}


@pytest.mark.parametrize("path", sorted((ROOT / "workflow").glob("*.py")), ids=lambda path: path.stem)
def test_helpers_of_the_workflow_use_the_standard_library(path: Path) -> None:
    assert top(imports(path)) - STDLIB <= {"snakemake"}


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.stem)
def test_entry_imports_no_data_library_and_no_other_entry(path: Path) -> None:
    assert third_party(path) == set()
    assert top(imports(path)) & {file.stem for file in ENTRIES} == set()
    assert own_imports(path) <= {"pipeline", "records", "errors"}


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.stem)
def test_entry_is_thin_and_touches_snakemake_under_its_guard_only(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") < 60
    assert "from __future__" not in source  # Snakemake puts its preamble before it
    module = tree(path)
    guarded = [node for node in module.body if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)]
    assert len(guarded) == 1
    inside = {id(node) for node in ast.walk(guarded[0])}
    outside = [
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Name) and node.id == "snakemake" and id(node) not in inside
    ]
    assert outside == []


def test_front_door_starts_with_snakemake_and_rich_alone() -> None:
    comes_with_snakemake = {"yaml", "jsonschema", "psutil", "snakemake", "rich"}
    flat = {file.stem for file in FLAT} | {OWN}
    assert top(reachable(SCRIPTS / "main.py", at_load=True)) - STDLIB - flat <= comes_with_snakemake


@pytest.mark.parametrize("path", AUDITS, ids=lambda path: path.stem)
def test_audits_see_records_and_no_dicom(path: Path) -> None:
    assert third_party(path) & (DICOM | TEXT | {"SimpleITK", "snakemake"}) == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_package_knows_nothing_of_what_lies_above(path: Path) -> None:
    assert top(imports(path)) & ({file.stem for file in FLAT} | {"snakemake", "rich"}) == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_module_imports_only_the_libraries_of_its_layer(path: Path) -> None:
    name = layer(path)
    used = third_party(path)
    if name in PURE | SALTED:
        assert used == set()
    elif name in POLICY_MODULES | LANGUAGE_MODULES:
        assert used <= {"yaml", "jsonschema"}
    elif name in ARRAYS:
        assert used <= ARRAYS[name]
    elif name in ORCHESTRATION:
        assert third_party(path, at_load=True) & (TEXT | TABLES | {"SimpleITK"}) == set()
    else:
        assert used & ({"yaml", "jsonschema", "SimpleITK"} | TABLES) == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_module_imports_only_lower_modules(path: Path) -> None:
    name, used = layer(path), own_imports(path)
    if name in PURE:
        assert used <= {"records", "value_objects"}
    elif name in POLICY_MODULES:
        assert used <= POLICY_MODULES | PURE
    elif name in LANGUAGE_MODULES:
        assert used <= PURE
    elif name not in ORCHESTRATION:
        assert used & ORCHESTRATION == set()
    if name in ARRAYS:
        assert used <= {name, "boxes"} | PURE


def test_verification_shares_no_code_with_the_engine() -> None:
    paths = sorted(PACKAGE.glob("verification*.py"))
    assert paths
    names = {name for path in paths for name in reachable(path, at_load=False)}
    reached = {name.split(".")[1] for name in names if name.startswith(f"{OWN}.")}
    engine = {"instance_deid", "instance_rewrite", "element_rewrite", "element_memo", "value_rewrite"}
    engine |= {
        "raw_elements",
        "actions",
        "free_text",
        "vocabulary",
        "text_forms",
        "text_patterns",
        "text_identifiers",
        "text_tidy",
        "written_dates",
        "generalize",
    }
    engine |= {"lexicon", "lexicon_harvest", "lexicon_index", "lexicon_numbers", "lexicon_words"}
    assert reached & engine == set()


def test_evaluation_shares_no_rule_with_engine_verification_and_policies() -> None:
    paths = sorted(PACKAGE.glob("evaluation*.py"))
    assert len(paths) >= 5
    reached = {name.removeprefix(f"{OWN}.") for path in paths for name in reachable(path, at_load=False)}
    parts = {name.split(".")[0] for name in reached}
    rules = POLICY_MODULES | {"instance_deid", "element_rewrite", "value_rewrite", "actions", "dates", "generalize"}
    rules |= {
        "free_text",
        "vocabulary",
        "text_patterns",
        "text_identifiers",
        "languages",
        "lexicon",
        "redaction",
        "known_places",
    }
    assert parts & rules == set()
    assert {name for name in parts if name.startswith("verification")} == set()
    assert not {"burned_in_text.judge", "burned_in_text.match"} & reached


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = {path: {module_file(name) for name in imports(path, at_load=True)} - {None, path} for path in MODULES}
    graph = {path: {other for other in used if other in graph} for path, used in graph.items()}
    while graph:
        free = [path for path, used in graph.items() if not used & set(graph)]
        assert free, f"a circle among {sorted(path.stem for path in graph)}"
        for path in free:
            del graph[path]
