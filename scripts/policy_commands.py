"""What `main.py policy` does: list, show, compare, validate, clone and preview policies."""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from phi_deid_pipeline.errors import ConfigError, PolicyError
from phi_deid_pipeline.policies import Override, Policy, Resolution, load_policy
from phi_deid_pipeline.policy_files import NAME, POLICIES_FOLDER, PolicyFile, find_policy, read_policy
from phi_deid_pipeline.ps3_15_rules import format_tag, load_dictionary, parse_tag
from phi_deid_pipeline.records import HoldReason, RejectReason
from run_progress import counted

if TYPE_CHECKING:
    from phi_deid_pipeline.policy_preview import Preview

DONE, WRONG = 0, 2
FACES = HoldReason.RECOGNIZABLE_VISUAL_FEATURES.value
KEYS = ("hide", "dates", "max_age", "pseudonyms", "clinical_trial", "hold")
PREVIEW_COLUMNS = ("path", "keyword", "VR", "action", "rule", "HIPAA", "count", "became")
SPARED = ("rule", "HIPAA", "count")  # columns that a narrow terminal does without
WIDEST = 1000  # columns; no table of these is as wide
ACTIONS = {
    "D": "dummy",
    "Z": "empty, or a pseudonym",
    "X": "remove",
    "K": "keep; known identifiers in it go all the same",
    "C": "clean",
    "U": "new UID",
    "in parentheses": "what the rule says, before the Type of the attribute or its VR decided",
}
RULES = {  # words of Resolution.rule
    "E.1-1": "row of PS3.15 Table E.1-1",
    "gap": "row of this project: outside the table, can carry identifiers",
    "own": "row of this project: another attribute outside the table",
    "site": "override of the policy",
    "published": "a date that many patients share, or a time without a day: never kept where dates are changed",
    "default": "in no row: kept, text cleaned under clean_descriptors",
    "date": "in no row, a date or time: what the policy does with dates",
    "name": "in no row, a name of a person",
    "uid": "a UID by its own list, or in no row",
    "url": "in no row, an address on the web",
    "device": "in no row, an AE title",
    "age": "in no row, an age",
    "unknown": "not in the data dictionary, or bytes of unknown VR",
    "private": "private attribute that nothing keeps",
    "safe_private": "private attribute of Table E.3.10-1, known to be safe",
    "graphics": "curve or overlay",
    "group_length": "length of a group",
    "command": "group 0000",
    "file_meta": "group 0002, written anew",
    "dicomdir": "group 0004",
}
OPTION = "option of the policy, see config/policies/README.md"
NO_CLASS = ""  # a SOP class that no IOD is known of: the most demanding action
_PRIVATE_TAG = re.compile(r"\(?([0-9A-Fa-f]{3}[13579BDFbdf]),[xX]{2}([0-9A-Fa-f]{2})\)?\s+(\S.*)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Carry out a command below `policy`; return the exit code. PolicyError and ConfigError say what is wrong."""
    if args.policy_command == "list":
        return list_policies(console)
    if args.policy_command == "show":
        return show_policy(args.name, args.tag, console, everything=args.all)
    if args.policy_command == "diff":
        return diff_policies(args.first, args.second, console)
    if args.policy_command == "validate":
        return validate_policy(args.name, console)
    if args.policy_command == "clone":
        return clone_policy(args.first, args.second, console, copy=args.copy)
    return preview_sample(args.policy, args.input, console, values=args.values)


def _read(name_or_file: str) -> PolicyFile:
    return read_policy(find_policy(name_or_file, POLICIES_FOLDER), POLICIES_FOLDER, load_dictionary())


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", highlight=False, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column == "count" else "left")
    return table


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)


def list_policies(console: Console) -> int:
    """Print the named policies; one that is wrong is named, and makes the call end with 2."""
    table = _table("Policies", "name", "extends", "dates", "overrides", "description")
    wrong = []
    for path in sorted(POLICIES_FOLDER.glob("*.yaml")):
        try:
            found = _read(path.stem)
        except PolicyError as error:
            wrong.append(str(error))
            continue
        name = found.name + (" (disabled)" if found.disabled else "")
        table.add_row(name, found.extends, found.date_policy, str(len(found.overrides)), found.description)
    console.print(table, markup=False)
    for text in wrong:
        _say(console, text)
    return WRONG if wrong else DONE


def show_policy(name: str, tags: list[str], console: Console, *, everything: bool) -> int:
    """Print a policy; with tags their actions in every IOD, with `everything` the action on every attribute."""
    found, policy = _read(name), load_policy(name, disabled=True)
    dictionary = load_dictionary()
    asked = [_asked(text, dictionary) for text in tags]
    _say(console, f"{policy.name}{' (disabled)' if found.disabled else ''}: {policy.description}")
    _say(console, f"Digest {policy.digest}, PS3.15 {policy.edition}, longitudinal {policy.longitudinal}")
    _say(console, f"Options: {', '.join(sorted(policy.options)) or 'none'}")
    _say(console, "; ".join(f"{key}: {_key(policy, key)}" for key in KEYS))
    counts = Counter(entry.code for entry in policy.entries.values() if entry.rule.startswith("E.1-1"))
    _say(console, f"Table E.1-1 after options: {', '.join(f'{code} {n}' for code, n in counts.most_common())}")
    creators = len({creator for _, _, creator in policy.safe_private})
    kept = f"{len(policy.safe_private)} of {creators} creators" if creators else "none"
    _say(console, f"Private attributes kept by Table E.3.10-1: {kept}")
    if policy.overrides:
        table = _table("Overrides", "attribute", "action", "conditions", "reason")
        for row in policy.overrides:
            table.add_row(_place(row), row.action, _conditions(row), row.reason)
        console.print(table, markup=False)
    shown = {rule for path, creator in asked for rule in _show_tag(policy, path, creator, dictionary, console)}
    if everything:
        table = _table(
            "Every attribute, where no IOD is known", "tag", "keyword", "VR", "code", "action", "rule", "HIPAA"
        )
        for tag, (vr, keyword) in sorted(dictionary.items()):
            r = policy.resolve((tag,), vr.split("|")[0], NO_CLASS)
            table.add_row(format_tag(tag), keyword, vr, r.code, str(r.action), r.rule, r.hipaa)
            shown.add(r.rule)
        console.print(table, markup=False)
    _print_rules(shown, console)
    return DONE


def _print_rules(rules: Iterable[str], console: Console) -> None:
    words = {word for rule in rules for word in rule.split(":")}
    _print_words("rule", {word: told for word, told in RULES.items() if word in words}, console)
    options = ", ".join(sorted(words - RULES.keys()))
    if options:
        _say(console, f"  {options}: {OPTION}")


def _print_words(column: str, meanings: Mapping[str, str], console: Console) -> None:
    if meanings:
        _say(console, f"Words of the column {column}:")
    for word, meaning in meanings.items():
        _say(console, f"  {word}: {meaning}")


def _show_tag(
    policy: Policy, path: tuple[int, ...], creator: str, dictionary: dict[int, tuple[str, str]], console: Console
) -> set[str]:
    """Print the action on one attribute in every IOD; return the rules that it comes from."""
    place = "/".join(map(format_tag, path))
    if creator:
        vr, keyword = policy.private_vr(path[-1], creator), creator
        place = f"({path[-1] >> 16:04X},xx{path[-1] & 0xFF:02X})"
    else:
        vr, keyword = dictionary[path[-1]]
    found: dict[Resolution, list[str]] = {}
    resolve, names = (policy.resolve_private, (creator,)) if creator else (policy.resolve, ())
    for uid, iod in [*policy.sop_classes.items(), (NO_CLASS, "unknown SOP class")]:
        found.setdefault(resolve(path, vr.split("|")[0], *names, uid), []).append(iod)
    table = _table(f"{place} {keyword} ({vr})", "code", "action", "otherwise", "rule", "HIPAA", "SOP classes")
    for resolution, iods in sorted(found.items(), key=lambda item: len(item[1])):
        many = f"{len(iods)} others" if len(found) > 1 else "all"
        names = many if len(iods) == max(map(len, found.values())) else ", ".join(iods)
        fallback = str(resolution.fallback) if resolution.action == "C" else ""
        table.add_row(resolution.code, str(resolution.action), fallback, resolution.rule, resolution.hipaa, names)
    console.print(table, markup=False)
    return {resolution.rule for resolution in found}


def _asked(text: str, dictionary: dict[int, tuple[str, str]]) -> tuple[tuple[int, ...], str]:
    """Return the path of tags and the private creator that --tag names: A, A/B inside a sequence, or (0019,xx0C) CREATOR."""
    if found := _PRIVATE_TAG.fullmatch(text.strip()):
        return (int(found[1], 16) << 16 | 0x1000 | int(found[2], 16),), found[3].strip()
    return tuple(_tag(part.strip(), dictionary) for part in text.split("/")), ""


def _tag(text: str, dictionary: dict[int, tuple[str, str]]) -> int:
    """Return the tag of a keyword or of (gggg,eeee), with or without parentheses."""
    for tag, (_, keyword) in dictionary.items():
        if keyword == text:
            return tag
    try:
        tag = parse_tag(re.sub(r"[(), ]", "", text).upper())
    except ValueError:
        tag = -1
    if tag not in dictionary:
        raise ConfigError(
            "--tag takes a keyword or the tag (gggg,eeee) of a standard attribute, several joined by / for one inside sequences, "
            'or a private attribute with its creator: "(0019,xx0C) CREATOR".'
        )
    return tag


def _key(policy: Policy, key: str) -> str:
    value = getattr(policy, key)
    return ", ".join(sorted(value)) or "nothing" if isinstance(value, frozenset) else str(value)


def _place(override: Override) -> str:
    if override.private_creator:
        return f"({override.tag >> 16:04X},xx{override.tag & 0xFF:02X}) {override.private_creator}"
    return format_tag(override.tag)


def _conditions(override: Override) -> str:
    named = (
        ("SOP class", override.sop_class),
        ("modality", override.modality),
        ("manufacturer", override.manufacturer),
    )
    return ", ".join(f"{name} {value}" for name, value in named if value) or "none"


def diff_policies(first: str, second: str, console: Console) -> int:
    """Print options, keys, overrides and actions in which two policies differ."""
    a, b = load_policy(first, disabled=True), load_policy(second, disabled=True)
    table = _table("Options and keys", "what", a.name, b.name)
    for option in sorted(a.options ^ b.options):
        table.add_row(option, *("yes" if option in policy.options else "no" for policy in (a, b)))
    for key in KEYS:
        if getattr(a, key) != getattr(b, key):
            table.add_row(key, _key(a, key), _key(b, key))
    if a.safe_private != b.safe_private:
        table.add_row("safe private attributes", str(len(a.safe_private)), str(len(b.safe_private)))
    if table.row_count:
        console.print(table, markup=False)
    conditional = _table(
        "Overrides under conditions or of private attributes", "attribute", "conditions", a.name, b.name
    )
    rows = [{row.key: row for row in policy.overrides if any(row.key[1:])} for policy in (a, b)]
    for key in sorted(rows[0].keys() | rows[1].keys()):
        one, other = rows[0].get(key), rows[1].get(key)
        if (one and one.action) != (other and other.action):
            row = one or other
            conditional.add_row(_place(row), _conditions(row), one.action if one else "", other.action if other else "")
    if conditional.row_count:
        console.print(conditional, markup=False)
    actions = _table("Attributes, where no IOD is known", "tag", "keyword", "VR", a.name, b.name, "HIPAA")
    for tag, (vr, keyword) in sorted(load_dictionary().items()):
        r, s = (policy.resolve((tag,), vr.split("|")[0], NO_CLASS) for policy in (a, b))
        if (r.code, r.action) != (s.code, s.action):
            actions.add_row(format_tag(tag), keyword, vr, _action(r), _action(s), r.hipaa or s.hipaa)
    if actions.row_count:
        console.print(actions, markup=False)
    concepts = _concepts(a, b)
    overrides = counted(conditional.row_count, "override")
    rest = f"{overrides} under conditions or of private attributes, {counted(concepts, 'SR concept')}"
    _say(console, f"What differs: {counted(actions.row_count, 'attribute')}, {rest}.")
    return DONE


def _action(resolution: Resolution) -> str:
    return (
        str(resolution.action) if resolution.code == resolution.action else f"{resolution.action} ({resolution.code})"
    )


def _concepts(a: Policy, b: Policy) -> int:
    keys = a.concepts.keys() | b.concepts.keys()
    return sum(1 for key in keys if a.resolve_concept(*key) != b.resolve_concept(*key))


def validate_policy(name_or_file: str, console: Console) -> int:
    """Print what a valid policy file holds; PolicyError names the row that is wrong."""
    found, policy = _read(name_or_file), load_policy(name_or_file, disabled=True)
    _say(
        console,
        f"Policy {policy.name} is valid: {counted(len(policy.options), 'option')}, {counted(len(policy.overrides), 'override')}.",
    )
    _say(console, f"Digest {policy.digest}.{' It is disabled.' if found.disabled else ''}")
    return DONE


def clone_policy(first: str, second: str, console: Console, *, copy: bool) -> int:
    """Write a policy file that extends or copies another; an existing file is never overwritten."""
    source, found = find_policy(first, POLICIES_FOLDER), _read(first)
    named = NAME.fullmatch(second) is not None
    target = POLICIES_FOLDER / f"{second}.yaml" if named else Path(second)
    if target.suffix != ".yaml" or not NAME.fullmatch(target.stem):
        raise ConfigError("B must be a name of 1 to 39 letters, digits, _ or -, or a file NAME.yaml with such a name.")
    base = found.name if source.parent == POLICIES_FOLDER else os.path.relpath(source, target.parent)
    content = {"name": target.stem, "description": f"{found.name} with changes of this site."}
    content |= _copied(found) if copy else {"extends": base, "overrides": []}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    try:
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigError(
            "The new policy, B of the call, exists already and is not overwritten; choose another name."
        ) from None
    except OSError as error:
        raise ConfigError(f"B cannot be written ({error.strerror}).") from error
    load_policy(target, root=POLICIES_FOLDER)
    _say(console, f"Written: policy {target.stem}, {'a copy of' if copy else 'which extends'} {found.name}.")
    return DONE


def _copied(found: PolicyFile) -> dict[str, object]:
    content: dict[str, object] = {"options": sorted(found.options), "hide": found.hide}
    if found.dates:
        content["dates"] = found.dates
    content |= {"max_age": found.max_age, "pseudonyms": found.pseudonyms, "clinical_trial": found.clinical_trial}
    content |= {"hold": sorted(found.hold), "overrides": [_override_row(row) for row in found.overrides]}
    return content


def _override_row(override: Override) -> dict[str, str]:
    private = f"({override.tag >> 16:04X},xx{override.tag & 0xFF:02X})"
    row = {"tag": private if override.private_creator else format_tag(override.tag), "action": override.action}
    conditions = ("sop_class", "modality", "manufacturer", "private_creator")
    return row | {"reason": override.reason} | {key: v for key in conditions if (v := getattr(override, key))}


def preview_sample(name: str, inputs: list[Path], console: Console, *, values: bool) -> int:
    """Print what a policy would do to each attribute path of a sample of instances."""
    from phi_deid_pipeline.policy_preview import preview_policy

    policy = load_policy(name, disabled=True)
    files = [file for path in inputs for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    files = [file for file in files if file.is_file()]
    if not files:
        raise ConfigError("No file of --input exists; check the paths.")
    found = preview_policy(policy, files, values=values)
    if not found.read:
        _say(console, "There is nothing to preview: no file of --input can be looked at.")
        _print_left_out(found, console)
        return WRONG
    _print_preview(policy, found, console, values=values)
    return DONE


def _print_left_out(found: Preview, console: Console) -> None:
    for reason, number in sorted(found.rejected.items()):
        _say(
            console,
            f"{counted(number, 'file was', 'files were')} left out ({reason}): {RejectReason(reason).what_to_do}",
        )


def _print_rows(title: str, found: Preview, console: Console) -> bool:
    """Print one line for each row: whole where it goes into a file, without what can be spared in a narrow terminal.

    Returns whether all columns were printed.
    """
    table = _rows_table(title, found, PREVIEW_COLUMNS)
    wide = console.measure(table, options=console.options.update(width=WIDEST, max_width=WIDEST)).maximum
    if not console.is_terminal:
        console.width = max(console.width, wide)
    if wide <= console.width:
        console.print(table, markup=False)
        return True
    console.print(_rows_table(title, found, [name for name in PREVIEW_COLUMNS if name not in SPARED]), markup=False)
    _say(console, f"A window of {wide} columns shows {', '.join(SPARED)} too.")
    return False


def _rows_table(title: str, found: Preview, columns: Sequence[str]) -> Table:
    from phi_deid_pipeline.policy_preview import Outcome

    table = _table(title, *columns)
    for column in table.columns:
        column.no_wrap, column.overflow = column.header != "keyword", "ellipsis"
    for row in found.rows:
        r = row.resolution
        cells = {"path": row.written_path, "keyword": row.keyword, "VR": row.vr, "action": _action(r)}
        cells |= {"rule": r.rule.rpartition(":")[2], "HIPAA": r.hipaa, "count": str(row.count)}
        cells["became"] = ", ".join(f"{name} {row.became[name]}" for name in Outcome if row.became[name])
        table.add_row(*(cells[name] for name in columns))
    return table


def _print_legend(found: Preview, console: Console, *, whole: bool) -> None:
    """Say what the words of the rows mean; `whole` where they were printed with all columns."""
    from phi_deid_pipeline.policy_preview import Outcome

    actions = {str(row.resolution.action) for row in found.rows}
    if any(row.resolution.code != row.resolution.action for row in found.rows):
        actions.add("in parentheses")
    _print_words("action", {code: told for code, told in ACTIONS.items() if code in actions}, console)
    if whole:
        _print_rules({row.resolution.rule.rpartition(":")[2] for row in found.rows}, console)
        _print_words("HIPAA", {"A to R": "kind of identifier, 45 CFR 164.514(b)(2)(i)"}, console)
    became = {outcome for row in found.rows for outcome, number in row.became.items() if number}
    _print_words("became", {word: word.meaning for word in Outcome if word in became}, console)


def _print_preview(policy: Policy, found: Preview, console: Console, *, values: bool) -> None:
    whole = _print_rows(f"Policy {policy.name} on {counted(found.read, 'instance')}", found, console)
    _print_legend(found, console, whole=whole)
    _print_left_out(found, console)
    for reason, number in sorted(found.held.items()):
        _say(console, f"{number} of them would wait for a person's decision ({reason}).")
    if found.faces:
        waits = "waits for a person's decision" if FACES in policy.hold else "is flagged"
        _say(
            console,
            f"{found.faces} of them name a head in thin slices: a series with enough of them {waits} ({FACES}).",
        )
    if found.concepts:
        told = ", ".join(f"{action} {number}" for action, number in sorted(found.concepts.items()))
        _say(console, f"Content items go by their concept's rule, whatever their path says above: {told}.")
    _say(console, "Headers only: pixels are not searched here. Nothing was kept.")
    if policy.pseudonyms != "keyed":
        _say(console, "Codes of a table and attributes of a trial are not known here: a run writes them.")
    if values:
        for row in found.rows:
            for old, new in row.values:
                _say(
                    console,
                    f"{row.written_path} {row.keyword}: {old} -> {'(removed)' if new is None else new or '(empty)'}",
                )
        _say(console, "The values above identify patients: do not pass this output on.")
