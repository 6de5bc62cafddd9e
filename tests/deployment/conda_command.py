"""A `conda` command with what Snakemake calls and no more. It solves, unpacks and links by py-rattler; no pip section."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

VERSION = "24.7.1"
ACTIVATE = """# sourced by Snakemake:  activate ENVIRONMENT
export CONDA_PREFIX="$1" CONDA_DEFAULT_ENV="$1" PATH="$1/bin:$PATH"
"""


def install(folder: Path) -> Path:
    """Write `conda` and `activate` into `folder/bin`, for this interpreter; return that folder."""
    import rattler

    programs = folder / "bin"
    programs.mkdir(parents=True)
    packages = Path(rattler.__file__).parents[1]
    call = f'PYTHONPATH="{packages}" exec "{sys.executable}" "{Path(__file__).resolve()}" "{folder}" "$@"'
    (programs / "conda").write_text(f"#!/bin/sh\n{call}\n", encoding="utf-8")
    (programs / "conda").chmod(0o755)
    (programs / "activate").write_text(ACTIVATE, encoding="utf-8")
    return programs


def _option(arguments: list[str], name: str) -> str:
    for at, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
        if argument == name:
            return arguments[at + 1]
    raise SystemExit(f"conda: {name} is needed")


async def _create(environment: Path, prefix: str) -> None:
    import rattler
    import yaml

    asked = yaml.safe_load(environment.read_text(encoding="utf-8"))
    channels = [rattler.Channel(name) for name in asked["channels"] if name != "nodefaults"]
    here = [package.into_generic() for package in rattler.VirtualPackage.detect()]
    found = await rattler.solve(
        channels, asked["dependencies"], platforms=["linux-64", "noarch"], virtual_packages=here
    )
    await rattler.install(found, prefix, show_progress=False)


def main(root: str, arguments: list[str]) -> None:
    """Answer one call."""
    match arguments:
        case ["--version", *_]:
            print(f"conda {VERSION}")
        case ["info", *_]:
            facts = {"conda_prefix": root, "root_prefix": root, "platform": "linux-64", "conda_version": VERSION}
            print(json.dumps({**facts, "envs": []}))
        case ["config", *_]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *options]:
            asyncio.run(_create(Path(_option(options, "--file")), _option(options, "--prefix")))
            sys.stdout.flush()
            os._exit(0)  # py-rattler's threads can crash an interpreter that shuts down, when all is done
        case ["clean", *_]:
            pass
        case _:
            sys.exit(f"conda: not known here: {arguments[:1]}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
