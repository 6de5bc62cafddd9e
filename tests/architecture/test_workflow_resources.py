"""What jobs ask of a cluster grows with each attempt, and no job asks for the cores of all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
CLUSTERS = ("lsf", "pbs", "sge", "slurm")
_RULE = re.compile(r"^(?:rule|checkpoint) (\w+):\n(.*?)(?=^\S|\Z)", re.M | re.S)


def rules() -> dict[str, str]:
    """Return {name: text} of the rules that run a script."""
    found = {name: text for path in RULES for name, text in _RULE.findall(path.read_text(encoding="utf-8"))}
    return {name: text for name, text in found.items() if "script:" in text}


@pytest.mark.parametrize("rule", rules())
@pytest.mark.parametrize("resource", ["mem_mb", "runtime"])
def test_each_attempt_asks_for_more(rule: str, resource: str) -> None:
    (given,) = re.findall(rf"^        {resource}=(.*),$", rules()[rule], re.M)
    assert re.match(r"(?:memory|minutes)_of_(?:batch|all)\(|lambda wildcards, (?:threads, )?attempt: attempt \*", given)


def test_functions_of_resources_multiply_by_the_attempt() -> None:
    text = (ROOT / "workflow" / "rules" / "common.smk").read_text(encoding="utf-8")
    bodies = dict(re.findall(r"^def ((?:memory|minutes)_of_\w+)\(.*?\):\n(.*?)(?=^\S|\Z)", text, re.M | re.S))
    assert bodies.keys() == {"memory_of_batch", "minutes_of_batch", "memory_of_all", "minutes_of_all"}
    assert all("return lambda wildcards, attempt: attempt *" in body for body in bodies.values())


@pytest.mark.parametrize("name", CLUSTERS)
def test_profiles_of_clusters_keep_the_scan_on_one_node(name: str) -> None:
    """`--cores` bounds all jobs together there; the rule of the scan takes what it says."""
    profile = yaml.safe_load((ROOT / "workflow" / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))
    assert 1 < profile["set-threads"]["inventory"] <= 16
    assert profile["retries"] == 2


def test_only_the_scan_takes_several_cores() -> None:
    assert [name for name, text in rules().items() if "threads:" in text] == ["inventory"]


def test_profiles_of_clusters_agree_on_what_makes_jobs_run_again() -> None:
    common = ("scheduler", "rerun-triggers", "max-checksum-file-size", "keep-going", "rerun-incomplete", "retries",
              "latency-wait", "default-resources", "set-threads")  # fmt: skip
    profiles = [
        yaml.safe_load((ROOT / "workflow" / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))
        for name in CLUSTERS
    ]
    assert all({key: one[key] for key in common} == {key: profiles[0][key] for key in common} for one in profiles)


def test_grouped_rules_exist() -> None:
    profile = yaml.safe_load((ROOT / "workflow" / "profiles" / "slurm" / "config.yaml").read_text(encoding="utf-8"))
    assert profile["groups"].keys() <= rules().keys()
