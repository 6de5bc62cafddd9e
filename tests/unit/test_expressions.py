"""Expressions that are compiled when a text first asks for them."""

import copy
import pickle
import re
from pathlib import Path
from random import Random

import pytest

from phi_deid_pipeline import text_forms, text_patterns
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.languages import Languages, load_languages
from phi_deid_pipeline.value_objects import field_names

# One or more for each form that needs something.
NEEDING = (
    *(
        "3 January",
        "3. Mai 2020",
        "4th of July",
        "January 3",
        "sept. 3",
        "Mai 03 2020",
        "seen 20240229 in",
        "3 May 2020",
    ),
    *("im 93. Lebensjahr", "97th birthday", "F 95", "Patient 94", "94, male patient", "90+", "m, 93", "H 93", "aa 93"),
    *(
        "93.5 yo",
        "she is 94",
        "dhr 95",
        "turned 95",
        "over 90 years",
        "in the ward >89",
        "a woman of 97",
        "Patient over 89",
    ),
    *("LS9 7TF", "LS1 4AP", "LS1 8TH", "sw1a 1aa", "Leeds LS9", "Springfield, NY 12345", "2020-01-31 12:00"),
    *("92 J.", "M93", "95a", "95M", "101 F", "example.org", "ris.corp", "ris.example.org", "ab.cd.lan"),
    *("NL1234 Town", "12345 Town", "1234 AB Town", "1016 gv amsterdam", "1234 AB"),
)


def test_it_does_what_a_compiled_expression_does() -> None:
    expression = Expression(r"(?P<day>\d{1,2})\.", re.ASCII)
    compiled = re.compile(r"(?P<day>\d{1,2})\.", re.ASCII)
    for _ in range(2):
        assert expression.search("am 3. Mai")["day"] == "3"
        assert expression.fullmatch("3. Mai") is None
        assert expression.sub("", "3. und 4.") == compiled.sub("", "3. und 4.")
        assert (expression.pattern, expression.flags) == (compiled.pattern, compiled.flags)
    assert expression.compiled is compiled  # `re` remembers it


def test_it_is_compiled_once_and_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    real = re.compile
    monkeypatch.setattr(re, "compile", lambda *source: compiled.append(source[0]) or real(*source))
    expression = Expression(r"\d+")
    assert compiled == []
    assert expression.search("4711") and expression.match("47") and expression.search("x") is None
    assert compiled == [r"\d+"]


def test_a_mistake_is_told_and_no_other_name_is_made_up() -> None:
    with pytest.raises(re.error):
        Expression("(").search("")
    with pytest.raises(AttributeError):
        Expression("a").find("")


@pytest.mark.parametrize("text", ["", " ", "--", "+"])
def test_texts_without_words_ask_for_no_expression_of_words(text: str) -> None:
    form = text_forms.Form("(?:patient|age) 9[0-9]", starts=("patient", "age"))
    assert list(text_forms.matches((form,), text)) == []
    assert "compiled" not in vars(form)


def test_what_a_form_needs_is_in_every_match() -> None:
    patterns = text_patterns.compile_patterns(load_languages())
    groups = (patterns.described, patterns.labelled, patterns.addresses, patterns.kept)
    forms = [form for group in groups for form in group if form.needs is not None]
    matched = {(form, text) for form in forms for text in NEEDING if form.compiled.search(text)}
    assert [text for form, text in matched if form.needs.search(text) is None] == []
    assert {form for form, _ in matched} == set(forms)


def _texts() -> list[str]:
    """Return descriptions, sentences and examples, and random pieces of them and of numbers side by side."""
    folder = Path(__file__).resolve().parents[1] / "benchmarks" / "words"
    lines = [line for path in sorted(folder.glob("*.txt")) for line in path.read_text(encoding="utf-8").splitlines()]
    language_rows = load_languages()
    words = [row for key in field_names(Languages) for row in getattr(language_rows, key)]
    random = Random(4711)
    pieces = [*words, *(word for line in lines for word in line.split()), *NEEDING]
    numbers = [
        "93",
        "4711",
        "12.03.2020",
        "01/31",
        "20200131",
        "1234567",
        "10.0.0.1",
        "1.2.3.4.5",
        "24.XII.2019",
        "3 4 51",
    ]
    numbers += [
        "S23-4471",
        "1234 AB",
        "ab::1",
        "host.local",
        "www.x.org",
        "SW1A 1AA",
        "95M",
        "100 F",
        "x4711",
        "1951_03_04",
    ]
    mixed = []
    for _ in range(3000):
        chosen = random.choices(pieces, k=random.randint(1, 3)) + random.choices(numbers, k=random.randint(0, 2))
        random.shuffle(chosen)
        text = random.choice([" ", " ", ": ", ", ", "", "/"]).join(chosen)
        mixed.append(random.choice([text, text.upper(), text.title()]))
    return [*lines[::7], *NEEDING, *mixed]


def test_what_is_seen_at_a_glance_hides_no_match_and_shortened_expressions_find_the_same() -> None:
    patterns = text_patterns.Patterns(load_languages())
    groups = (patterns.described, patterns.labelled, patterns.addresses, patterns.kept)
    whole = {form: re.compile(form.pattern, re.IGNORECASE) for group in groups for form in group}
    for text in _texts():
        look = text_forms.Look(text)
        for form, expression in whole.items():
            wanted = [match.span() for match in expression.finditer(text)]
            if form.may_match(text, look):
                assert [match.span() for match in form.expression(look).finditer(text)] == wanted, (text, form.pattern)
            else:
                assert wanted == [], (text, form.pattern)


def test_words_of_a_form_stand_once_in_its_expression_and_few_of_them_are_compiled() -> None:
    patterns = text_patterns.Patterns(load_languages())
    groups = (patterns.described, patterns.labelled, patterns.addresses, patterns.kept)
    forms = [form for group in groups for form in group if form.words]
    assert len(forms) > 20
    assert [f.pattern for f in forms if f.pattern.count(f.words) != 1 and not f._holds] == []
    label = patterns.labelled[0]
    assert [match[0] for match in text_forms.matches((label,), "seen, patient id 4711")] == ["patient id 4711"]
    assert "compiled" not in vars(label)


def test_an_expression_can_be_copied_and_pickled_before_its_first_use() -> None:
    for made in (copy.copy(Expression("a+")), pickle.loads(pickle.dumps(Expression("a+")))):
        assert made.search("baa").group() == "aa"
