"""Makes a conda channel in a folder, of stand-ins for the packages that an environment file names, without conda-build."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
from pathlib import Path

import yaml

SUBDIRS = ("noarch", "linux-64")


def make_channel(folder: Path, environment: Path, programs: dict[str, dict[str, str]]) -> None:
    """Write a channel with each package of an environment file in the version that it pins.

    `programs` maps the name of a package to {path in the environment: text of an executable script}.
    """
    records = {}
    for dependency in yaml.safe_load(environment.read_text(encoding="utf-8"))["dependencies"]:
        name, _, version = dependency.partition("=")
        version = version or "1.0"
        data, index = _package(name, version, programs.get(name, {}))
        digests = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
        records[f"{name}-{version}-0.tar.bz2"] = (data, {**index, "size": len(data), **digests})
    for subdir in SUBDIRS:
        (folder / subdir).mkdir(parents=True)
        here = records if subdir == "noarch" else {}
        for file_name, (data, _) in here.items():
            (folder / subdir / file_name).write_bytes(data)
        listed = {file_name: record for file_name, (_, record) in here.items()}
        repodata = {"info": {"subdir": subdir}, "packages": listed, "packages.conda": {}, "repodata_version": 1}
        (folder / subdir / "repodata.json").write_text(json.dumps(repodata), encoding="utf-8")


def _package(name: str, version: str, files: dict[str, str]) -> tuple[bytes, dict]:
    """Return the bytes of a package and its index."""
    index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": []}
    index |= {"subdir": "noarch", "noarch": "generic", "arch": None, "platform": None}
    listed = [
        {"_path": path, "path_type": "hardlink", "sha256": hashlib.sha256(text.encode()).hexdigest(), "size_in_bytes": len(text)}
        for path, text in files.items()
    ]  # fmt: skip
    members = {
        "info/index.json": json.dumps(index),
        "info/paths.json": json.dumps({"paths_version": 1, "paths": listed}),
        "info/files": "".join(f"{path}\n" for path in files),
        **files,
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, text in members.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(text.encode()), 0o755 if path in files else 0o644
            tar.addfile(member, io.BytesIO(text.encode()))
    return bz2.compress(archive.getvalue()), index
