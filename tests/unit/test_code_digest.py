"""A rule's digest changes with what the rule runs, and with nothing else."""

import shutil

import pytest

import code_digest as module

RULES = [path.stem for path in sorted(module.SCRIPTS.glob("*.py")) if "snakemake.log[0]" in path.read_text()]


def forget() -> None:
    for remembered in (module._module, module._pipeline, module._path):
        remembered.cache_clear()


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """Return the digest of every rule of the code as it stands."""
    return {rule: module.code_digest(rule) for rule in RULES}


@pytest.fixture
def digests(tmp_path, monkeypatch):
    """Return a function: edit files of a copy of scripts/, then give the digest of every rule."""
    scripts = tmp_path / "scripts"
    shutil.copytree(module.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "SCRIPTS", scripts)

    def after(name: str = "", old: str = "", new: str = "") -> dict[str, str]:
        if name:
            path = scripts / name
            text = path.read_text()
            assert old in text
            path.write_text(text.replace(old, new, 1))
        forget()
        return {rule: module.code_digest(rule) for rule in RULES}

    yield after
    forget()


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {rule for rule in before if before[rule] != after[rule]}


def test_every_rule_has_an_entry_and_a_digest(before, digests):
    assert len(RULES) == 20 and set(before) == set(RULES)
    assert digests() == before, "a copy elsewhere has the same"


def test_comment_and_docstring_change_no_digest(before, digests):
    after = digests("phi_deid_pipeline/uid_mapping.py", '"""Salted', '# a comment\n"""Well salted')
    assert changed(before, after) == set()


def test_geometry_code_reruns_geometry_and_nothing_that_reads_pixels(before, digests):
    touched = changed(
        before, digests("phi_deid_pipeline/geometry/stacks.py", "import numpy", "_ADDED = 1\nimport numpy")
    )
    assert "measure_ct_geometry" in touched
    assert not touched & {"inventory", "read_burned_in_text", "judge_burned_in_text", "deidentify_series"}


def test_uid_code_reruns_what_maps_uids_and_reads_no_picture(before, digests):
    touched = changed(before, digests("phi_deid_pipeline/uid_mapping.py", "SALT_BYTES = 32", "SALT_BYTES = 33"))
    assert {"map_uids", "deidentify_series"} <= touched
    assert "read_burned_in_text" not in touched


def test_one_step_of_the_pipeline_module_reruns_only_its_rule(before, digests):
    touched = changed(
        before,
        digests(
            "phi_deid_pipeline/pipeline.py",
            "    return uid_map_rows(manifest, UidMapper(salt))",
            "    return list(uid_map_rows(manifest, UidMapper(salt)))",
        ),
    )
    assert touched == {"map_uids"}


def test_digests_are_remembered_for_the_code_as_it_stands(before, digests, tmp_path, monkeypatch):
    memory = tmp_path / "work" / "digests.json"
    first = module.remembered_digests(memory)
    assert {rule: first(rule) for rule in RULES} == before
    assert [path.name for path in memory.parent.iterdir()] == [memory.name]
    with monkeypatch.context() as patch:
        patch.setattr(module, "_module", None)  # no code is read again
        again = module.remembered_digests(memory)
        assert {rule: again(rule) for rule in RULES} == before
    after = digests("map_uids.py", "from job_log", "_ADDED = 1\nfrom job_log")
    changed_code = module.remembered_digests(memory)
    assert {rule: changed_code(rule) for rule in RULES} == after != before
