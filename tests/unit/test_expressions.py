"""Expressions that are compiled when a text first asks for them."""

import re

import pytest

from phi_deid_pipeline import text_patterns
from phi_deid_pipeline.expressions import Expression


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
    form = text_patterns._Form("(?:patient|age) 9[0-9]", starts=("patient", "age"))
    assert list(text_patterns._matches((form,), text)) == []
    assert "compiled" not in vars(form)
