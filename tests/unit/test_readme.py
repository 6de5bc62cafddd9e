"""What the pages say and what the code does are one: options, keys, columns, reasons, paths, make targets."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import main as front_door
from architecture.sources import PACKAGE, ROOT
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.policy_files import HIDE, NOT_SUPPORTED
from phi_deid_pipeline.ps3_15_rules import OPTIONS
from phi_deid_pipeline.records import HoldReason, RejectReason
from phi_deid_pipeline.subjects import REQUIRED_COLUMNS, SUBJECT_COLUMNS
from run_tables import DECISION_COLUMNS, DECISION_VERDICTS, PATIENT_COLUMNS
from schemas.render_config_readme import PAGE as CONFIG_PAGE
from schemas.render_config_readme import SCHEMA as CONFIG_SCHEMA
from schemas.render_config_readme import keys
from schemas.render_config_readme import render as render_config

README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLES = (ROOT / "config" / "TABLES.md").read_text(encoding="utf-8")
POLICIES = (ROOT / "config" / "policies" / "README.md").read_text(encoding="utf-8")
SCHEMAS = ROOT / "resources" / "audit_schemas"
SNAKEMAKE_OPTIONS = {"--workflow-profile", "--directory", "--report", "--lint"}
TOP = ("workflow/", "scripts/", "config/", "resources/", "tests/", "envs/")
AUDITS = {
    "1. `audits/deid/deid_audit.jsonl`": "deid_audit",
    "2. `audits/uid/uid_map.parquet`": "uid_map",
    "3. `audits/metadata/metadata_audit.parquet`": "metadata_audit",
    "4. `audits/ct_prepro/ct_prepro_audit.json`": "ct_prepro_audit",
}
LIMIT_LINES = 400


def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the commands of a parser by name."""
    (subparsers,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(subparsers.choices)


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of all commands by name."""
    return below(front_door.parser())


def options() -> set[str]:
    """Return every long option of every command."""
    parsers = [front_door.parser(), *commands().values()]
    found = {text for parser in parsers for action in parser._actions for text in action.option_strings}
    return {text for text in found if text.startswith("--")}


def section(title: str, mark: str = "##") -> str:
    """Return the text below a heading of README.md."""
    match = re.search(rf"^{mark} {re.escape(title)}$(.*?)(?=^##? |^{mark} |\Z)", README, re.M | re.S)
    assert match, f"no section {title}"
    return match[1]


def code_words(text: str) -> set[str]:
    """Return what stands between backticks, blocks of code left out."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)))


def columns(name: str) -> set[str]:
    """Return the columns of an audit by its schema."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return set(schema.get("$defs", {}).get("series", {}).get("properties") or schema["properties"])


def renderer() -> ModuleType:
    """Import the renderer of the audits' page from its folder, which is no package."""
    spec = importlib.util.spec_from_file_location("render_readme", SCHEMAS / "render_readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_front_page_is_short() -> None:
    assert README.count("\n") <= LIMIT_LINES


def test_every_option_is_named_and_every_named_option_exists() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README))
    assert options() - named == set()
    assert named - options() == SNAKEMAKE_OPTIONS


@pytest.mark.parametrize("name", sorted(commands()))
def test_options_are_given_to_the_commands_that_have_them(name: str) -> None:
    rows = re.findall(r"^\| (`--.*?) \| ([a-z, ]+) \|", section("Commands and exit codes").replace(r"\|", "/"), re.M)
    stated = {
        option
        for text, whom in rows
        for option in re.findall(r"--[a-z-]+", text)
        if whom == "all" or name in whom.split(", ")
    }
    own = {text for action in commands()[name]._actions for text in action.option_strings if text.startswith("--")}
    assert stated == own - {"--help"}


def test_every_command_is_named_and_every_named_command_exists() -> None:
    named = set(re.findall(r"main\.py ([a-z]+)", README))
    assert named == set(commands())


def test_commands_for_policies_are_named_with_their_options() -> None:
    parsers = below(commands()["policy"])
    (row,) = re.findall(r"^\| `main\.py policy ([a-z\\|]+)` \|", README, re.M)
    assert row.replace("\\", "").split("|") == list(parsers)
    assert set(re.findall(r"^main\.py policy ([a-z]+) ", POLICIES, re.M)) == set(parsers)
    own = {text for parser in parsers.values() for action in parser._actions for text in action.option_strings}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", POLICIES))
    assert named == {text for text in own if text.startswith("--")} - {"--help"}


def test_exit_codes_are_those_of_the_front_door() -> None:
    named = {int(code) for code in re.findall(r"^\| (\d) \|", section("Commands and exit codes"), re.M)}
    assert named == {front_door.RELEASED, front_door.FAILED, front_door.USAGE, front_door.NOT_ALL_RELEASED}


@pytest.mark.parametrize(
    ("name", "most", "told"),
    [
        ("run", front_door.NOT_ALL_RELEASED, "all input was released"),
        ("demo", front_door.USAGE, "ended as it should"),
        ("verify", front_door.USAGE, "all proved"),
        ("evaluate", front_door.USAGE, "no certain and no likely finding"),
        ("status", front_door.USAGE, "done"),
    ],
)
def test_help_of_a_command_tells_its_own_exit_codes(name: str, most: int, told: str) -> None:
    codes = re.findall(r"^  (\d)  (.+)$", commands()[name].format_help().partition("exit codes:")[2], re.M)
    assert [int(code) for code, _ in codes] == list(range(most + 1)) and told in codes[0][1]


def test_help_of_the_front_door_tells_what_the_exit_codes_say_of_each_command() -> None:
    text = front_door.parser().format_help().partition("exit codes:")[2]
    assert all(f"{name}: " in text for name in ("verify", "evaluate", "demo"))


@pytest.mark.parametrize(
    ("call", "usage"),
    [
        (["run", "--input", "a", "--output", "b"], "usage: main.py run "),
        (["policy", "show", "a"], "usage: main.py policy show "),
        (["evaluate", "--input", "a", "--output", "b"], "usage: main.py evaluate "),
    ],
)
def test_unknown_option_shows_the_usage_of_its_command(
    call: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        front_door.parsed([*call, "--unheard-of"])
    told = capsys.readouterr().err
    assert ended.value.code == front_door.USAGE
    assert told.startswith(usage) and "--unheard-of" in told


@pytest.mark.parametrize(("call", "parser"), [([], front_door.parser()), (["policy"], commands()["policy"])])
def test_call_without_a_command_shows_the_help_with_all_commands(
    call: list[str], parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        front_door.parsed(call)
    assert ended.value.code == front_door.USAGE
    assert capsys.readouterr().err == parser.format_help()
    assert all(f"\n    {name} " in parser.format_help() for name in below(parser))


def test_page_of_the_config_is_as_rendered() -> None:
    assert CONFIG_PAGE.read_text(encoding="utf-8") == render_config(), "run workflow/schemas/render_config_readme.py"


def test_page_of_the_config_names_every_key_with_its_default() -> None:
    schema = yaml.safe_load(CONFIG_SCHEMA.read_text(encoding="utf-8"))
    page = CONFIG_PAGE.read_text(encoding="utf-8")
    leaves = dict(keys(schema))
    assert {"policy", "inventory.duplicates", "ocr.readers", "geometry.hu_clip"} <= set(leaves)
    for key, entry in leaves.items():
        row = re.search(rf"^\| `{re.escape(key)}` \| ([^|]+) \| `([^|]+)` \| (.+) \|$", page, re.M)
        assert row, key
        assert json.loads(row[2]) == entry["default"]


def test_config_keys_named_on_the_front_page_exist() -> None:
    schema = yaml.safe_load(CONFIG_SCHEMA.read_text(encoding="utf-8"))
    groups = {name for name, entry in schema["properties"].items() if entry.get("type") == "object"}
    pattern = rf"({'|'.join(groups)})\.(?!smk$)[a-z_*]+"
    named = {word for word in code_words(README) if re.fullmatch(pattern, word)}
    assert named
    assert named <= {f"{group}.*" for group in groups} | dict(keys(schema)).keys()


def test_page_of_the_audits_is_as_rendered() -> None:
    page = (SCHEMAS / "README.md").read_text(encoding="utf-8")
    assert page == renderer().render(), "run resources/audit_schemas/render_readme.py"


@pytest.mark.parametrize("title", AUDITS)
def test_every_column_of_an_audit_is_named_and_every_named_column_exists(title: str) -> None:
    known = columns(AUDITS[title])
    named = {word for word in code_words(section(title, "###")) if re.fullmatch(r"[a-z][a-z0-9_]*", word)}
    assert known - named == set()
    assert named - known == set()


@pytest.mark.parametrize("title", AUDITS)
def test_example_of_an_audit_holds_columns_of_its_schema(title: str) -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```", section(title, "###"), re.M | re.S)
    assert set(json.loads(block)) <= columns(AUDITS[title])


def test_reasons_for_rejection_are_explained_as_the_audit_does() -> None:
    assert renderer().with_reasons(README) == README, "run resources/audit_schemas/render_readme.py"
    assert all(f"| `{reason.value}` | {reason.what_to_do} |" in README for reason in RejectReason)


def test_reasons_to_hold_are_all_explained() -> None:
    text = section("Own data, step by step").partition("**Held**")[2].partition("**Rejected**")[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", text, re.M)) == {reason.value for reason in HoldReason}


def test_paths_of_the_repository_that_are_named_exist() -> None:
    for page in (ROOT / "README.md", CONFIG_PAGE, ROOT / "config" / "policies" / "README.md"):
        words = {word.split()[0] for word in code_words(page.read_text(encoding="utf-8"))}
        named = {word for word in words if word.startswith(TOP)}
        assert [word for word in sorted(named) if not (ROOT / word).exists()] == []
        links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
        assert [link for link in links if not (page.parent / link).exists()] == []


def test_rule_files_and_audits_that_are_named_exist_in_the_workflow() -> None:
    rules = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "workflow" / "rules").glob("*.smk")}
    assert {word for word in code_words(README) if word.endswith(".smk")} == set(rules)
    audits = {word for word in code_words(README) if re.fullmatch(r"audits/[\w/]+\.[\w.]+", word)}
    assert audits
    assert [word for word in sorted(audits) if f'"{word}"' not in rules["audits.smk"]] == []
    steps = set(re.findall(r"^(?:rule|checkpoint) (\w+):", "\n".join(rules.values()), re.M))
    assert set(re.findall(r"\[([a-z_]+)\]", section("How data flow"))) == steps


def test_every_module_of_the_package_stands_in_the_architecture() -> None:
    table = section("Architecture").partition("| layer |")[2]
    named = {
        word
        for row in re.findall(r"^\| \w+ \| (.*?) \| .* \|$", table, re.M)
        for word in re.findall(r"`([a-z0-9_]+)`", row)
    }
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert named == modules - {"__init__"}


def test_every_script_stands_in_the_architecture() -> None:
    rules = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    entries = set(re.findall(r"^(?:rule|checkpoint) (\w+):", rules, re.M))
    scripts = {path.name for path in (ROOT / "scripts").glob("*.py") if path.stem not in entries}
    named = {
        word.removeprefix("scripts/") for word in code_words(section("Architecture")) if word.startswith("scripts/")
    }
    assert scripts - named == set()


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)(?=[ `])", README, re.M))
    assert {"demo", "test", "lint"} <= named
    assert named - targets == set()


def test_policies_and_options_are_all_described() -> None:
    shipped = {path.stem for path in (ROOT / "config" / "policies").glob("*.yaml")}
    first, options_table = POLICIES.split("## Options")
    assert set(re.findall(r"^\| `(\w+)` \|", first.partition("## Keys")[0], re.M)) == shipped
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", options_table, re.M))
    assert set(rows) == set(OPTIONS)
    assert {option for option, text in rows.items() if "not supported" in text} == set(NOT_SUPPORTED)
    assert set(HIDE) <= code_words(first)
    limits = section("What it does not")
    assert {option for option in NOT_SUPPORTED if f"`{option}`" in limits} == set(NOT_SUPPORTED)


@pytest.mark.parametrize("page", [README, POLICIES], ids=["front page", "policies"])
def test_example_of_a_site_policy_can_be_loaded(page: str, tmp_path: Path) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    path = tmp_path / "our_site.yaml"
    path.write_text(block, encoding="utf-8")
    policy = load_policy(path)
    assert policy.name == "our_site"
    assert len(policy.overrides) == len(yaml.safe_load(block)["overrides"]) >= 1


def test_examples_of_tables_have_the_columns_that_are_asked_for() -> None:
    heads = {block.split("\n")[0] for block in re.findall(r"^```csv\n(.*?)^```", README, re.M | re.S)}
    assert heads == {",".join(PATIENT_COLUMNS), ",".join(DECISION_COLUMNS)}
    (head,) = re.findall(r"^```csv\n(.*?)\n", TABLES, re.M)
    assert set(REQUIRED_COLUMNS) <= set(head.split(",")) <= set(SUBJECT_COLUMNS)
    assert {name for name in SUBJECT_COLUMNS if f"`{name}`" in TABLES} == set(SUBJECT_COLUMNS)
    assert {verdict for verdict in DECISION_VERDICTS if f"`{verdict}`" in README} == set(DECISION_VERDICTS)
