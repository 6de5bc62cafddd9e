"""Expressions that are compiled when a text first asks for them."""

import copy
import pickle
import re

import pytest

from phi_deid_pipeline import text_forms, text_patterns
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.languages import load_languages

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


def test_an_expression_can_be_copied_and_pickled_before_its_first_use() -> None:
    for made in (copy.copy(Expression("a+")), pickle.loads(pickle.dumps(Expression("a+")))):
        assert made.search("baa").group() == "aa"
