"""Days in ideographs and of East Asian eras: engine and verification read the same ones, each by rules of its own."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.free_text import drop_identifiers
from phi_deid_pipeline.lexicon import Entry, Lexicon, find_dates, fold
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_needles import Needles


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("昭和二十六年四月三日", "19510403"),
        ("昭和二六年四月三日", "19510403"),
        ("昭和26年四月三日", "19510403"),
        ("令和元年十二月三十一日", "20191231"),
        ("令和六年十月十日", "20241010"),
        ("民國四十年四月三日", "19510403"),
        ("民國40年4月3日", "19510403"),
        ("民國 113年5月3日", "20240503"),
        ("中華民國一百一十三年五月三日", "20240503"),
        ("民國 113/5/3", "20240503"),
        ("一九五一年四月三日", "19510403"),
        ("二〇二四年五月三日", "20240503"),
    ],
)
def test_days_in_ideographs_are_read(text: str, day: str) -> None:
    assert any(day in readings for _, _, readings in find_dates(fold(text)))
    entry = Entry(Category.DATE, day)
    assert [category for category, _ in Needles([entry], frozenset()).hits(f"胸部 {text}")] == [Category.DATE]
    assert drop_identifiers(f"胸部 {text}", Lexicon([entry])) == "胸部 "
    other = Entry(Category.DATE, "19510404")
    assert list(Needles([other], frozenset()).hits(text)) == []


@pytest.mark.parametrize(
    "text", ["令和六年", "昭和三十年", "民國 113年", "民国113年5月", "令和六年五月三日", "พ.ศ. 2494"]
)
def test_years_of_eras_that_no_header_tells_leave_kept_text(text: str) -> None:
    assert drop_identifiers(f"胸部 {text}", Lexicon()).strip() == "胸部"


def test_two_thirds_and_other_ideographs_stay() -> None:
    text = "第三肋骨 二十四時間後 三年"
    assert drop_identifiers(text, Lexicon()) == text
