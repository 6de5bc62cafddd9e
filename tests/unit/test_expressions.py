"""Expressions that are compiled when a text first asks for them, and kept beside the bytecode."""

import copy
import marshal
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from phi_deid_pipeline import expressions, text_patterns
from phi_deid_pipeline.expressions import Expression, KeptExpressions
from phi_deid_pipeline.languages import load_languages

SCRIPTS = Path(expressions.__file__).resolve().parents[1]
SOURCES = [
    (r"(?P<day>\d{1,2})\.", re.ASCII),
    (r"(a)|(?P<b>b)(?i:C)", 0),
    (rb"[\x20-\x7e]+", 0),
    (r"[äöü]\w*(?<!x)", re.IGNORECASE),
    (r"\s # a blank", re.VERBOSE),
]


@pytest.fixture(autouse=True)
def _bytecode_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment of the tests asks of Python."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def test_it_does_what_a_compiled_expression_does() -> None:
    expression = Expression(r"(?P<day>\d{1,2})\.", re.ASCII)
    compiled = re.compile(r"(?P<day>\d{1,2})\.", re.ASCII)
    for _ in range(2):
        assert expression.search("am 3. Mai")["day"] == "3"
        assert expression.fullmatch("3. Mai") is None
        assert expression.sub("", "3. und 4.") == compiled.sub("", "3. und 4.")
        assert (expression.pattern, expression.flags) == (compiled.pattern, compiled.flags)


@pytest.mark.parametrize(("pattern", "flags"), SOURCES)
def test_what_is_kept_equals_what_re_compiles(pattern: str | bytes, flags: int, tmp_path: Path) -> None:
    wanted = re.compile(pattern, flags)
    kept = KeptExpressions(tmp_path / "kept" / "expressions.marshal")
    assert kept.compiled(pattern, flags) == wanted
    kept.save()
    again = KeptExpressions(kept.path)
    found = again.compiled(pattern, flags)
    assert found == wanted and not again.new  # flags, code and pattern are the same
    assert (found.groups, dict(found.groupindex)) == (wanted.groups, dict(wanted.groupindex))


def test_every_form_of_the_languages_equals_what_re_compiles() -> None:
    patterns = text_patterns.Patterns(load_languages())
    forms = [
        form for group in (patterns.described, patterns.labelled, patterns.addresses, patterns.kept) for form in group
    ]
    assert len(forms) > 100
    assert [form.pattern for form in forms if form.compiled != re.compile(form.pattern, re.IGNORECASE)] == []


def test_it_is_compiled_once_and_when_it_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = KeptExpressions(tmp_path / "expressions.marshal")
    monkeypatch.setattr(expressions, "kept_expressions", lambda: kept)
    expression = Expression(r"\d+")
    assert not kept.new
    assert expression.search("4711") and expression.match("47") and expression.search("x") is None
    assert list(kept.new) == [(r"\d+", 0)]


def test_a_mistake_is_told_and_no_other_name_is_made_up() -> None:
    with pytest.raises(re.error):
        Expression("(").search("")
    with pytest.raises(AttributeError):
        Expression("a").find("")


@pytest.mark.parametrize("content", [b"", b"no marshal", marshal.dumps(("another Python", 0, b"")), marshal.dumps(7)])
def test_a_file_that_is_broken_or_of_another_python_is_made_anew(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "expressions.marshal"
    path.write_bytes(content)
    kept = KeptExpressions(path)
    assert kept.compiled("a+", 0) == re.compile("a+")
    kept.save()
    assert not KeptExpressions(path).new and KeptExpressions(path).compiled("a+", 0) == re.compile("a+")


def test_a_changed_byte_is_seen(tmp_path: Path) -> None:
    kept = KeptExpressions(tmp_path / "expressions.marshal")
    kept.compiled("a+", 0)
    kept.save()
    data = bytearray(kept.path.read_bytes())
    data[len(data) // 2] ^= 1
    kept.path.write_bytes(data)
    again = KeptExpressions(kept.path)
    assert again.compiled("a+", 0) == re.compile("a+") and again.new


def test_what_others_saved_meanwhile_stays_and_old_ones_go_where_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (KeptExpressions(tmp_path / "expressions.marshal") for _ in range(2))
    first.compiled("a+", 0)
    second.compiled("b+", 0)
    first.save()
    second.save()
    third = KeptExpressions(first.path)
    third.compiled("a+", 0)
    third.compiled("b+", 0)
    assert not third.new
    monkeypatch.setattr(expressions, "MOST_KEPT", 2)
    third.compiled("c+", 0)
    third.save()
    last = KeptExpressions(first.path)
    last.compiled("c+", 0)
    assert not last.new
    last.compiled("a+", 0)
    assert last.new


def test_nothing_is_written_where_python_writes_no_bytecode_or_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptExpressions(tmp_path / "folder" / "expressions.marshal")
    kept.compiled("a+", 0)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    kept.save()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "folder").write_bytes(b"")  # a file in the way
    kept.save()
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_the_next_process_compiles_none_of_them(tmp_path: Path) -> None:
    code = (
        "from phi_deid_pipeline import expressions;"
        "assert expressions.Expression('a+').search('baa');"
        "print(len(expressions.kept_expressions().new), expressions.kept_expressions().path)"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(SCRIPTS), "PYTHONPYCACHEPREFIX": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert [number for number, _ in told] == ["1", "0"]
    assert Path(told[0][1]).is_relative_to(tmp_path)


def test_those_of_all_languages_are_compiled_ahead(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(SCRIPTS), "PYTHONPYCACHEPREFIX": str(tmp_path)}
    command = [sys.executable, str(SCRIPTS / "compile_expressions.py")]
    run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    (path,) = tmp_path.rglob("*.marshal")
    kept = KeptExpressions(path)
    patterns = text_patterns.Patterns(load_languages())
    for form in (*patterns.described, *patterns.labelled, *patterns.addresses, *patterns.kept):
        kept.compiled(form.pattern, re.IGNORECASE)
    assert not kept.new and int(run.stdout.split()[0]) > 200


def test_nothing_of_a_patient_is_kept(tmp_path: Path) -> None:
    """Names and numbers are looked for by expressions too, but those are made anew in each process."""
    code = (
        "from phi_deid_pipeline import expressions, free_text;"
        "from phi_deid_pipeline.lexicon import Entry, Lexicon;"
        "from phi_deid_pipeline.records import Category as C;"
        "known = Lexicon([Entry(C.NAME, 'Qwertz^Yxcvb^Maria'), Entry(C.RECORD_NUMBER, 'QX-4711081'), Entry(C.BIRTH_DATE, '19520317'),"
        " Entry(C.ADDRESS, 'Qwertzgasse 12, 6067 Absam')]);"
        "words = free_text.load_vocabulary();"
        "text = 'CT Thorax Qwertz Yxcvb, QX 4711081, born 17.03.1952, Qwertzgasse 12, 6067 Absam';"
        "print(free_text.clean_descriptor(text, known, words), '|', free_text.drop_identifiers(text, known, words));"
    )
    environment = {"PYTHONPATH": str(SCRIPTS), "PYTHONPYCACHEPREFIX": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert "CT Thorax" in run.stdout and "Qwertz" not in run.stdout
    (path,) = tmp_path.rglob("*.marshal")
    kept = path.read_bytes().lower()
    assert len(kept) > 10_000
    assert [part for part in (b"qwertz", b"yxcvb", b"4711", b"1952", b"absam") if part in kept] == []


def test_an_expression_can_be_copied_and_pickled_before_its_first_use() -> None:
    for made in (copy.copy(Expression("a+")), pickle.loads(pickle.dumps(Expression("a+")))):
        assert made.search("baa").group() == "aa"
