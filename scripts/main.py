"""De-identify DICOM imaging data and prove it: the front door of the pipeline."""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rich.console import Console
from rich.table import Table

import evaluate_folder
from cluster_jobs import ClusterError, cluster_of, end_orphans, jobs_are_over, jobs_may_be_out, profile_options
from file_times import OutputTimes
from object_storage import Storage, StorageError, archive, check_apart, copy_input, is_storage, parse_place, publish
from phi_deid_pipeline import __version__
from phi_deid_pipeline.errors import ConfigError, DeidError
from phi_deid_pipeline.uid_mapping import salt_id
from run_options import positive, run_only_options, run_options
from run_progress import (
    RunState,
    counted,
    failure_lines,
    print_places,
    print_summary,
    read_counts,
    read_work,
    run_snakemake,
)
from run_setup import (
    COPY_OF_INPUT,
    DISK_FULL,
    ROOT,
    RunRequest,
    check_choices,
    checked_output,
    forget_changed_files,
    holds_another_input,
    is_running,
    only_run,
    prepare,
)

RELEASED, FAILED, USAGE, NOT_ALL_RELEASED = 0, 1, 2, 3
_USAGE_TEXT = "the call cannot be carried out as it stands"
_OPEN_TEXT = "finished, but something was rejected or is held, or a decision matches nothing"
_EXIT_CODES = {  # what 0, 1, 2 and so on say of a command; "" of all
    "": (
        "all input was released (verify: all proved; evaluate: nothing certain or likely; demo: ended as it should)",
        "the run failed, verify found a fault, or evaluate something certain or likely",
        _USAGE_TEXT,
        _OPEN_TEXT,
    ),
    "run": ("all input was released", "the run failed", _USAGE_TEXT, _OPEN_TEXT),
    "demo": ("ended as it should: what the sample holds to be rejected or held was", "the run failed", _USAGE_TEXT),
    "verify": ("all proved", "audits or releases are not what the run wrote", _USAGE_TEXT),
}
_OTHER_EXIT_CODES = ("done", "a file cannot be read or written", _USAGE_TEXT)
PLAIN_WIDTH = 120  # columns where the output is no terminal
DISK_IS_FULL = "The output disk is full: make room and run again; what is finished is kept."
OTHER_INPUT = (
    "The last call on this output named another input folder: what is released and only that one holds is withdrawn from the "
    "next release."
)
OTHER_INPUT_DRY = (
    f"{OTHER_INPUT} A dry run scans, so the input given now is the one that status and plain Snakemake go by; no release "
    "changes. A run with the former --input goes on as before."
)
DEMO_INPUT = ROOT / ".cache" / "sample_input"
DEMO_OUTPUT = ROOT / "demo"


def exit_codes(command: str) -> str:
    """Return what the exit codes of a command say, "" for those of all commands together."""
    meanings = _EXIT_CODES.get(command, _OTHER_EXIT_CODES)
    return "\n".join(["exit codes:", *(f"  {code}  {meaning}" for code, meaning in enumerate(meanings)), ""])


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="main.py", description=__doc__, epilog=exit_codes(""), formatter_class=raw)
    top.add_argument("--version", action="version", version=f"phi_deid_pipeline {__version__}")
    top.set_defaults(parser=top)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, epilog=exit_codes(name), formatter_class=raw)
        made.set_defaults(parser=made)
        return made

    run = command("run", "De-identify, verify, audit and release the DICOM instances of a folder.")
    prepare_only = command("prepare", "Write input, policy, salt and config for a run by plain Snakemake.")
    for sub in (run, prepare_only):
        run_options(sub)
    run_only_options(run)
    demo = command("demo", "Build the sample input and run the whole pipeline over it.")
    demo.add_argument("--input", type=Path, default=DEMO_INPUT, metavar="DIR", help="where the sample input is built")
    demo.add_argument("--output", type=Path, default=DEMO_OUTPUT, metavar="DIR", help="output folder (default: demo)")
    status = command("status", "Tell how far the work in an output folder is.")
    releases = command("releases", "List the releases of an output folder and what changed in each.")
    words = command("words", "List the words that descriptions lost because the vocabulary lacks them.")
    words.add_argument("--top", type=positive, default=50, metavar="N", help="words to show (default: 50)")
    verify = command("verify", "Prove audits and releases: schemas, chain, seal, the SHA-256 of every file.")
    for sub in (status, releases, words, verify):
        sub.add_argument("--output", type=Path, required=True, metavar="DIR", help="output folder of a run")
    verify.add_argument(
        "--salt-file", type=Path, metavar="FILE", help="proves the seal too (default: OUTPUT/private/salt)"
    )
    evaluate = commands.add_parser(
        "evaluate",
        help="Look through a de-identified folder, of any tool, with readers and patterns of its own.",
        epilog=evaluate_folder.EPILOG,
        formatter_class=raw,
    )
    evaluate.set_defaults(parser=evaluate)
    evaluate_folder.add_options(evaluate)
    for sub in (demo, evaluate):
        sub.add_argument(
            "--cores", type=positive, default=os.cpu_count() or 1, metavar="N", help="cores (default: all)"
        )
    _policy_commands(command("policy", "List, show, compare, validate, clone or preview policies."))
    return top


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Parse a command line; an option that its command does not have is told with the usage of that command.

    Where no command is given, the help lists those that there are.
    """
    args, unknown = parser().parse_known_args(arguments)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if args.command is None or vars(args).get("policy_command", "") is None:
        args.parser.print_help(sys.stderr)
        sys.exit(USAGE)
    return args


def _policy_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `policy` to its parser."""
    commands = parser.add_subparsers(dest="policy_command", metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(parser=made)
        return made

    command("list", "List the policies of config/policies/.")
    show = command("show", "Show options, keys, counts and overrides of a policy, and actions on request.")
    show.add_argument("name", metavar="NAME|FILE", help="a policy")
    show.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="TAG",
        help="keyword, (gggg,eeee), A/B inside sequences or '(0019,xx0C) CREATOR': its action in every IOD",
    )
    show.add_argument("--all", action="store_true", help="the action on every attribute of the dictionary")
    diff = command("diff", "Show what two policies do differently.")
    diff.add_argument("first", metavar="A")
    diff.add_argument("second", metavar="B")
    command("validate", "Check a policy file; the row that is wrong is named.").add_argument("name", metavar="FILE")
    clone = command("clone", "Write a new policy that extends A, to be changed by hand.")
    clone.add_argument("first", metavar="A")
    clone.add_argument("second", metavar="B", help="name of a new policy in config/policies/, or a new file (.yaml)")
    clone.add_argument("--copy", action="store_true", help="write all of A out, so that no later change of A counts")
    preview = command("preview", "Show what a policy would do to each attribute of a sample; nothing is kept.")
    preview.add_argument("--policy", required=True, metavar="NAME|FILE", help="a policy, disabled ones too")
    preview.add_argument(
        "--input", type=Path, required=True, nargs="+", metavar="FILE", help="files with DICOM instances, or folders"
    )
    preview.add_argument("--values", action="store_true", help="show old and new text: THIS IDENTIFIES PATIENTS")


def _request(args: argparse.Namespace) -> RunRequest:
    return RunRequest(
        input=args.output / COPY_OF_INPUT if is_storage(args.input) else Path(args.input),
        output=args.output,
        policy=args.policy,
        salt_file=args.salt_file,
        new_salt=args.new_salt,
        configfile=args.configfile,
        settings=tuple(args.set),
        decisions=args.decisions,
        patients=args.patients,
        subjects=args.subjects,
    )


def run_with_storage(args: argparse.Namespace, console: Console) -> int:
    """Run; before it fetch an input that is in object storage, after it send what is to go there."""
    places = {name: getattr(args, name) for name in ("input", "publish", "archive")}
    found = {name: parse_place(text) for name, text in places.items() if text and (name != "input" or is_storage(text))}
    check_apart(found)
    _profile_folder(args.profile)
    storage = Storage(path_style=args.path_style) if found else None
    for name, place in found.items():
        storage.reach(name, place)
    request = _request(args)
    if storage and "input" in found:
        check_choices(request)
        request.input.mkdir(parents=True, mode=0o700, exist_ok=True)
        with only_run(args.output.resolve()):
            counts = copy_input(storage, found["input"], request.input, args.output / "private" / "source.json")
        listed = counted(counts["listed"], "object")
        console.print(f"Input: {listed}, {counts['fetched']} fetched, {counts['deleted']} gone", highlight=False)
    options = {"cores": args.cores, "profile": args.profile, "dry_run": args.dry_run, "software": args.sdm}
    code = run(request, **options, console=console)
    if storage and code in (RELEASED, NOT_ALL_RELEASED) and not args.dry_run:
        output = args.output.resolve()
        if "publish" in found and (output / "release").exists():
            release = (output / "release").resolve()
            sent = publish(storage, release, found["publish"])
            told = f"{counted(sent, 'object')} sent" if sent else "was there already, as it is here"
            console.print(f"Published: release {release.name}, {told}", highlight=False)
        if "archive" in found:
            counts = archive(storage, output, found["archive"])
            console.print(
                f"Archived: {counted(counts['sent'], 'object')} sent, {counts['deleted']} deleted", highlight=False
            )
    return code


def run(
    request: RunRequest,
    *,
    cores: int | None,
    profile: str,
    dry_run: bool,
    console: Console,
    software: str | None = None,
) -> int:
    """Prepare, scan, then run what has work; return the exit code."""
    profile_folder = _profile_folder(profile)
    output = checked_output(request)
    with only_run(output) as lock:
        times = OutputTimes(output)
        _set_back(times, console)
        is_other = holds_another_input(output, request.input)
        prepared = prepare(request)
        if is_other:
            console.print(OTHER_INPUT_DRY if dry_run else OTHER_INPUT, highlight=False)
        console.print(f"Policy {prepared.policy_name}, salt {prepared.salt_id}", highlight=False)
        if prepared.salt_created:
            console.print(
                f"A new salt was made: {output}/private/salt. Keep it: without it no later run fits this one. One salt "
                "file, kept outside and handed in with --salt-file, serves all outputs of a project.",
                highlight=False,
            )
        machines = profile_options(profile_folder, output, cores, os.cpu_count() or 1)
        options = {"machines": machines, "run_id": uuid.uuid4().hex, "profile": profile, "software": software}
        options |= {"lock": lock, "console": console}
        _clear_stale_lock(output, console)
        former = read_counts(output)
        jobs_may_be_out(output, cluster_of(profile_folder))
        code, state = run_snakemake(output, ["inventory"], extra=[], **options)
        _set_back(times, console)
        if code:
            return _failed(output, state, console)
        _print_gone(former, read_counts(output), console)
        if dry_run:
            jobs_are_over(output)
            code, state = run_snakemake(output, [], extra=["--dry-run"], **options)
            _print_plan(state.planned, console)
            return FAILED if code else RELEASED
        forget_changed_files(output)
        code, state = run_snakemake(output, [], extra=[], **options)
        _set_back(times, console)
        if code:
            return _failed(output, state, console)
        jobs_are_over(output)
        if state.nothing_to_do:
            console.print("Nothing changed: nothing to do.")
        open_files = print_summary(output, console)
        print_places(output, console)
        return NOT_ALL_RELEASED if open_files else RELEASED


def _profile_folder(profile: str) -> Path:
    folder = ROOT / "workflow" / "profiles" / profile
    if not (folder / "config.yaml").exists():
        raise ConfigError(f"There is no profile '{profile}' in workflow/profiles/.")
    return folder


def _set_back(times: OutputTimes, console: Console) -> None:
    """Make results that are dated ahead of the clock ones that Snakemake works with, and say so."""
    if number := times.set_back():
        dated = counted(number, "result was dated ahead of it and is", "results were dated ahead of it and are")
        console.print(f"The clock went back: {dated} dated now.", highlight=False)


def _print_gone(former: Mapping[str, int], found: Mapping[str, int], console: Console) -> None:
    """Say what an input that shrank since the last scan means for the release: the folder may be a wrong one."""
    series, instances = (former.get(what, 0) - found[what] for what in ("series", "instances"))
    gone = [f"{series} series"] * (series > 0) + [counted(instances, "instance")] * (instances > 0)
    if gone:
        console.print(
            f"The input holds {' and '.join(gone)} fewer than at the last scan: what is gone is withdrawn from the next "
            "release.",
            highlight=False,
        )


def _clear_stale_lock(output: Path, console: Console) -> None:
    """End what a killed run left on a cluster, then remove its lock files; the caller holds this output's own lock."""
    if ended := end_orphans(output):
        told = counted(ended, "cluster job of a run that was killed was", "cluster jobs of a run that was killed were")
        console.print(f"{told} ended; what they did is done again.")
    for lock in sorted((output / ".snakemake" / "locks").glob("*.lock")):
        lock.unlink()


def _failed(output: Path, state: RunState, console: Console) -> int:
    console.print(
        f"Failed{': ' + ', '.join(sorted(set(state.failed))) if state.failed else ''}. See {output}/logs/snakemake.log",
        highlight=False,
    )
    for line in failure_lines(output, state.failed):
        console.print(f"  {line}", highlight=False)
    if state.disk_full:
        console.print(DISK_IS_FULL, highlight=False)
    return FAILED


def _print_plan(planned: dict[str, list[str]], console: Console) -> None:
    rules = {rule: batches for rule, batches in planned.items() if rule not in ("all", "inventory")}
    if not rules:
        console.print("Nothing changed: nothing to do.")
    for rule in sorted(rules):
        console.print(f"would run {rule}: {', '.join(sorted(rules[rule])) or 'once'}", highlight=False)


def demo(args: argparse.Namespace, console: Console) -> int:
    """Build the sample input where it is missing, and run; rejects in it are part of the show."""
    from sample_input import build_sample

    sample = build_sample(args.input)
    if sample["written"]:
        console.print(f"Sample input: {counted(sample['files'], 'file')} in {args.input}", highlight=False)
    request = RunRequest(input=args.input, output=args.output)
    code = run(request, cores=args.cores, profile="default", dry_run=False, console=console)
    if code == NOT_ALL_RELEASED:
        console.print("\nThe sample holds files that have to be rejected or held; the demo ended as it should.")
        return RELEASED
    return code


def status(output: Path, console: Console) -> int:
    """Print how far the work in an output folder is."""
    work = read_work(output)
    if not work:
        console.print("No scan has been done in this output yet." if not is_running(output) else "Scanning.")
        return RELEASED
    done = [batch for batch in work if (output / "private" / "verification" / f"{batch}.jsonl").exists()]
    console.print("A run is at work." if is_running(output) else "No run is at work.")
    console.print(
        f"{len(done)} of {counted(len(work), 'batch', 'batches')} verified: "
        f"{sum(work[b][0] for b in done)} of {sum(s for s, _ in work.values())} series, "
        f"{sum(work[b][1] for b in done)} of {counted(sum(n for _, n in work.values()), 'instance')}",
        highlight=False,
    )
    if (output / "audits" / "summary.json").exists():
        print_summary(output, console)
        print_places(output, console)
    return RELEASED


def releases(output: Path, console: Console) -> int:
    """Print the releases with what changed in each."""
    from phi_deid_pipeline.releases import list_releases

    listed = list_releases(output)
    if not listed:
        console.print("Nothing has been released from this output yet.")
        return RELEASED
    table = Table(title="Releases, the newest last; of series what was added, changed, withdrawn", title_justify="left")
    for name in ("release", "time", "instances", "added", "changed", "withdrawn", "policy", "salt", "MB"):
        left = name in ("release", "time", "policy", "salt")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for entry in listed:
        changes = (str(entry[f"series_{change}"]) for change in ("added", "changed", "withdrawn"))
        info = entry["info"]
        table.add_row(
            entry["release"] + ("*" if entry["current"] else ""),
            entry["timestamp"][:16].replace("T", " "),
            str(info["instances"]),
            *changes,
            info["policy"],
            entry["salt_id"],
            f"{entry['bytes'] / 1e6:.1f}",
        )
    console.print(table)
    console.print(
        "* is what `release` points to. A series counts once in each study that it stands in, as in the summary of a run. Each "
        "release's manifest.json names the series by their new UIDs, and every file with its SHA-256."
    )
    return RELEASED


def words(output: Path, top: int, console: Console) -> int:
    """Print the queue of unknown words, the most frequent first."""
    from review_words import QUEUE, read_unknown_words

    queue = read_unknown_words(output)
    if not queue:
        console.print("No description lost a word that the vocabulary lacks.")
        return RELEASED
    table = Table(title=f"Unknown words, {min(top, len(queue))} of {len(queue)}; may hold names", title_justify="left")
    for name in ("word", "times", "attributes"):
        table.add_column(name, justify="right" if name == "times" else "left", overflow="fold")
    for row in queue[:top]:
        table.add_row(row.word, str(row.count), ", ".join(row.attributes))
    console.print(table)
    console.print(
        f"All: {output / QUEUE}. Put the words that name nobody into a file, one a line, and run again with "
        "--set free_text.accepted_words=FILE (or the same key in your config file).",
        highlight=False,
    )
    return RELEASED


def verify(output: Path, salt_file: Path | None, console: Console) -> int:
    """Print what the proofs of audits and releases found."""
    from audit_writers import verify_output

    if not (output / "audits" / "seal.json").exists() and not (output / "releases").exists():
        raise ConfigError("No run has finished in this folder, so there is nothing to prove; check --output.")
    known = output / "private" / "salt_id"
    if salt_file is not None and not salt_file.is_file():
        raise ConfigError("The salt file cannot be read.")
    salt_file = salt_file or output / "private" / "salt"
    salt = salt_file.read_bytes() if salt_file.exists() else None
    if salt is not None and known.exists() and salt_id(salt) != known.read_text().strip():
        raise ConfigError(f"This output was made with the salt {known.read_text().strip()}; hand in that one.")
    former = [path.read_bytes() for path in sorted((output / "private").glob("salt.*"))]
    errors = verify_output(output, salt, former)
    for error in errors:
        console.print(error, highlight=False)
    if salt is None:
        console.print("The seals were not checked: no salt file was given.")
    if errors:
        console.print(
            f"{counted(len(errors), 'fault')}: audits or releases are not what the run wrote.", highlight=False
        )
        return FAILED
    console.print("Audits fulfil their schemas, chain and seals hold, every released file is as it was written.")
    return RELEASED


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; return the exit code."""
    args = parsed(arguments)
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    try:
        if args.command in ("run", "prepare"):
            if args.command == "run":
                return run_with_storage(args, console)
            if is_storage(args.input):
                raise ConfigError("prepare needs a folder; an input in object storage is fetched by run.")
            request = _request(args)
            output = checked_output(request)
            with only_run(output):
                _set_back(OutputTimes(output), console)
                prepared = prepare(request)
            console.print(f"Prepared: policy {prepared.policy_name}, salt {prepared.salt_id}", highlight=False)
            return RELEASED
        if args.command == "demo":
            return demo(args, console)
        if args.command == "policy":
            import policy_commands

            return policy_commands.run(args, console)
        if args.command == "evaluate":
            return evaluate_folder.evaluate(args, console)
        if not args.output.is_dir():
            raise ConfigError("There is no such output folder; check --output.")
        if args.command != "verify" and not any((args.output / name).is_dir() for name in ("private", "releases")):
            raise ConfigError("This folder is no output of a run; check --output.")
        if args.command == "status":
            return status(args.output.resolve(), console)
        if args.command == "releases":
            return releases(args.output.resolve(), console)
        if args.command == "words":
            return words(args.output.resolve(), args.top, console)
        return verify(args.output.resolve(), args.salt_file, console)
    except ConfigError as error:
        print(f"main.py: {error}", file=sys.stderr)
        return USAGE
    except (StorageError, ClusterError) as error:  # a call that was checked, and then was not carried out
        print(f"main.py: {error}", file=sys.stderr)
        return FAILED
    except DeidError as error:
        print(f"main.py: {error}", file=sys.stderr)
        return USAGE if args.command in ("run", "prepare", "policy") else FAILED
    except OSError as error:  # its text may name a path
        told = f"A file cannot be read or written ({error.strerror})."
        print(f"main.py: {DISK_IS_FULL if error.errno in DISK_FULL else told}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
