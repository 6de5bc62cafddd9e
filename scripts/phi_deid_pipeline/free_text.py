"""Keep the words of a description and drop the person (PS3.15 E.3.5): known identifiers, patterns, unknown words.

A block list cannot see names such as "Hand", so only words of a vocabulary of imaging stay; an identifier of the
patient that the lexicon knows goes even if its words are in the vocabulary. Numbers stay where they can be measures.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.languages import fold_word
from phi_deid_pipeline.lexicon_misspelt import MIN_MISSPELT
from phi_deid_pipeline.lexicon_words import GENERIC, SIDES
from phi_deid_pipeline.measures import is_window, unit_chains
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.text_denials import denies, drop_bare, drop_misled, drop_single_sides, keep_answers
from phi_deid_pipeline.text_eponyms import OF, drop_acronyms, keep_eponyms
from phi_deid_pipeline.text_persons import begins_phrase
from phi_deid_pipeline.text_tidy import tidy
from phi_deid_pipeline.text_tokens import CLAUSE_END, ENDS, Token, is_initial
from phi_deid_pipeline.vocabulary import MODALITIES, VOCABULARY_FILE, Vocabulary, load_vocabulary
from phi_deid_pipeline.word_forms import is_stage

if TYPE_CHECKING:
    from phi_deid_pipeline.lexicon import Lexicon, Span

__all__ = ["VOCABULARY_FILE", "Vocabulary", "clean_descriptor", "drop_identifiers", "fold", "load_vocabulary"]

MAX_NUMBER_DIGITS = 4
YEARS = range(1900, 2036)  # a four-digit number that can be a year is a date element
# These letters turn a number of up to four digits into a value; other single letters stand beside two digits at most.
_LONG_AFTER = frozenset("b")
_TOKEN = Expression(r"[^\W_]+(?:[.,]\d+(?=\D|$))*|[∅⌀]|_+")
_OF_THE, _MIN_STEM = frozenset({"des", "eines"}), 4
_MIN_WRITTEN_OUT, _WRITTEN_OUT, _BRITISH = 6, Expression("(?<![aeq])[aou]e"), Expression("[ao]e")
_GAUGE_BEFORE = Expression(r"(?<![\d.,/-])\d{1,2} ?$")
_TWO_LETTERS = Expression(r"(?<![^\W_])(?<!\w-)[^\W\d_]{2}(?!-?[^\W_])")
_LETTERS = Expression(r"[^\W\d_]+")
_BESIDE, _BEFORE, _LONGEST_TITLE = Expression(r"[\s,^]{1,3}"), Expression(r"(?<![^\W_])([^\W\d_]+)\.?[ \t]{1,2}$"), 24
_POWER, _SUPERSCRIPTS = Expression("[0-9]*[A-Za-z]{1,2}[²³]"), str.maketrans("²³", "23")  # mm², 5cm³
_PIECE = Expression(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_CAMEL = Expression(r"[A-Z]?[a-zà-ÿ]+|[A-Z]+(?![a-z])")
_OLD = Expression(r"9\d|1[01]\d|1[0-3]\d\d", re.ASCII)
_PARAMETERS = frozenset({"b", "delay", "dlp", "td", "te", "ti", "tr", "venc"})
_LONGEST_NEGATION, _PAIR = 24, 2
_CLOSING = Expression(r"[)\]}>%°]+|[+-](?![^\W_])")  # brackets, units, the sign of a receptor (PR-)


def drop_identifiers(text: str, lexicon: Lexicon, vocabulary: Vocabulary | None = None) -> str:
    """Cut known identifiers, and what is written like one, out of a kept text; every other character stays as it is."""
    vocabulary = load_vocabulary() if vocabulary is None else vocabulary
    parts, position = [], 0
    hits = lexicon.hits(text)
    spans = [(start, end) for start, end, _ in hits]
    spans += vocabulary.patterns.in_kept_text(text)
    if vocabulary.cues.any_kept.search(text):
        spans += _named(text, vocabulary, lexicon.short_parts)
    if lexicon.short_parts:
        spans += _unknown_shorts(text, lexicon.short_parts, vocabulary)
    spans += _misspelt(text, lexicon, vocabulary, hits)
    for start, end in _with_denied(text, _merged(spans), vocabulary):
        parts.append(text[position:start])
        position = end
    return "".join(parts) + text[position:] if parts else text


def clean_descriptor(
    text: str, lexicon: Lexicon, vocabulary: Vocabulary, unknown: list[str] | None = None, label: str = ""
) -> str:
    """Return the text with only imaging words and measures left, tidied; the same text if nothing had to go.

    `unknown` gets the folded words that go for no other reason than that the vocabulary lacks them. `label` stands
    elsewhere and says what the text is, as the concept of a content item does: it is read as if it stood before a colon.
    """
    if label:
        text, at = f"{label}: {text}", len(label) + 2
    else:
        at = 0
    hits = lexicon.hits(text)
    spans = [(start, end) for start, end, _ in hits]
    spans += vocabulary.patterns.in_description(text, vocabulary.is_imaging, vocabulary.negations)
    spans += vocabulary.patterns.days_without_year(text, lexicon.days)
    spans += _misspelt(text, lexicon, vocabulary, hits)
    tokens = _tokens(text, _with_denied(text, _merged(spans), vocabulary), vocabulary)
    keep_eponyms(text, tokens, vocabulary)
    _apply_cues(text, tokens, vocabulary)
    _drop_persons(text, tokens, vocabulary)
    drop_acronyms(text, tokens, vocabulary)
    if lexicon.short_parts:
        _drop_short_parts(text, tokens, lexicon.short_parts, vocabulary)
    _drop_neighbours(text, tokens, vocabulary)
    if unknown is not None:
        unknown.extend(word for token in tokens if token.start >= at and not token.named for word in token.unknown)
    if all(token.keep for token in tokens if token.end > at) and all(end <= at for _, end in spans):
        return text[at:]
    drop_misled(text, tokens, vocabulary)
    drop_single_sides(text, tokens, vocabulary)
    keep_answers(text, tokens, vocabulary)
    _drop_dangling(text, tokens, vocabulary)
    drop_bare(text, tokens, vocabulary)
    return _join(
        text[at:],
        _behind(tokens, at),
        denies=any(token.keep and token.word in vocabulary.negations for token in tokens),
    )


def _behind(tokens: list[Token], at: int) -> list[Token]:
    """Return the tokens that end behind a place, counted from there."""
    found = [token for token in tokens if token.end > at]
    for token in found if at else ():
        token.start, token.end = max(token.start - at, 0), token.end - at
    return found


@lru_cache(maxsize=16384)
def fold(word: str) -> str:
    """Return a word in lower case without accents (ä as a, ß as ss)."""
    return fold_word(word)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged


def _with_denied(text: str, spans: list[tuple[int, int]], vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """Let a negation that goes take what it denies along, to the end of its clause or the whole clause.

    A patient may be called by a word that denies (Sin, No). It denies nothing beside another part of the name, and with a
    capital in a clause that holds nothing else than words of the study: of "Mai CT Thorax" the name alone goes.
    """
    found = []
    for index, (start, end) in enumerate(spans):
        both = vocabulary.negations.get(fold(text[start:end])) if end - start < _LONGEST_NEGATION else None
        near = [text[spans[index - 1][1] : start]] if index else []
        near += [text[end : spans[index + 1][0]]] if index + 1 < len(spans) else []
        if both is None or any(expression(r"[\s,^.-]{1,3}").fullmatch(between) for between in near):
            found.append((start, end))
            continue
        first, last = _clause(text, start, end)
        if text[start].isupper() and _is_study(text, start, end, vocabulary):
            found.append((start, end))
            continue
        found.append((first if both else start, last))
    return _merged(found)


def _clause(text: str, start: int, end: int) -> tuple[int, int]:
    """Return where the clause around a span begins and ends."""
    closing = CLAUSE_END.search(text, end)
    opening = [match.end() for match in CLAUSE_END.finditer(text, 0, start)]
    return opening[-1] if opening else 0, closing.start() if closing else len(text)


def _is_study(text: str, start: int, end: int, vocabulary: Vocabulary) -> bool:
    """Tell whether the clause around a span holds words of a study, as its modality and region, and no other words."""
    first, last = _clause(text, start, end)
    words = _LETTERS.findall(f"{text[first:start]} {text[end:last]}")
    answers = text[first - 1 : first] == ":"  # Prior: No CT
    return bool(words) and not answers and all(fold(word) in vocabulary.cues.study for word in words)


def _unknown_shorts(text: str, shorts: frozenset[str], vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """Return where parts of names of two letters that are no words (Wu) stand in kept text as one word with one capital."""
    found = (match for match in _TWO_LETTERS.finditer(text) if match[0].istitle() and fold(match[0]) in shorts)
    return [match.span() for match in found if fold(match[0]) not in vocabulary]


def _misspelt(text: str, lexicon: Lexicon, vocabulary: Vocabulary, hits: list[Span]) -> list[tuple[int, int]]:
    """Return where a name of the patient stands with one slip in it.

    A word of the vocabulary, as makers and models are, is none but behind a title, or a blank, comma or caret away from
    another part of a name.
    """
    words = {match.span(): fold(match[0]) for match in _LETTERS.finditer(text) if len(match[0]) >= MIN_MISSPELT}
    listed = {span: word for span, word in words.items() if _is_listed(word, vocabulary)}
    found = [span for span, word in words.items() if span not in listed and lexicon.misspelt.means(word)]
    names = [(start, end) for start, end, category in hits if category in (Category.NAME, Category.PERSON)] + found
    starts = {start for start, _ in names}
    behind = {gap.end() for _, end in names if (gap := _BESIDE.match(text, end)) is not None}
    for (start, end), word in listed.items():
        gap = _BESIDE.match(text, end)
        beside = start in behind or (gap is not None and gap.end() in starts)
        if (beside or _is_titled(text, start, vocabulary)) and lexicon.misspelt.means(word):
            found.append((start, end))
    return found


def _is_listed(word: str, vocabulary: Vocabulary) -> bool:
    return word in vocabulary or word in vocabulary.small or word in GENERIC or word.removesuffix("s") in GENERIC


def _is_titled(text: str, start: int, vocabulary: Vocabulary) -> bool:
    title = _BEFORE.search(text, max(0, start - _LONGEST_TITLE), start)
    return title is not None and fold(title[1]) in vocabulary.cues.titles | vocabulary.cues.kept_modality_titles


def _drop_short_parts(text: str, tokens: list[Token], shorts: frozenset[str], vocabulary: Vocabulary) -> None:
    """Drop parts of names of two letters (Ca, Ni) where they are written as names.

    They are as one word with one capital, in capitals only behind a cue that ends there, or where a value begins, with a mark
    behind. One that denies is a name in the latter places, and in a clause that holds words of the study alone; in any
    other ("No fracture" of a patient No) it keeps what it says.
    """
    for index, token in enumerate(tokens):
        if token.word not in shorts or not token.keep or not token.text[0].isupper():
            continue
        before, behind = text[max(0, token.start - 2) : token.start], text[token.end : token.end + 2]
        if (
            before.endswith("-")
            or behind.startswith("-")
            or expression(r" ?[.:]? ?\d").match(text[token.end : token.end + 4])
        ):
            continue  # Bronchial-Ca, No 12
        cue = tokens[index - 1] if index else None
        behind_cue = cue is not None and cue.word in vocabulary.cues.soft | vocabulary.cues.roles
        ends = ENDS.match(text, token.end) is not None
        marked = not text[: token.start].strip() and behind[:1] in (",", ":", "^", "_", "=", "/")
        marked = marked or before.endswith("^") or behind.startswith("^")
        if token.word in SIDES:
            called = (marked and not behind.startswith((":", "="))) or (behind_cue and ends)
        elif token.word in vocabulary.negations:
            called = marked or (behind_cue and ends) or _is_study(text, token.start, token.end, vocabulary)
        else:
            called = token.text.istitle() or marked or (behind_cue and ends)
        if called:
            token.keep, token.named = False, True


def _named(text: str, vocabulary: Vocabulary, shorts: frozenset[str]) -> list[tuple[int, int]]:
    """Return the spans of capitalised words after a title, with the title, or after for and by: they name a person.

    Directly behind a title a word of imaging is a name where it is a surname or denies, or `shorts` are parts of names.
    """
    tokens, spans, cues = _tokens(text, [], vocabulary), [], vocabulary.cues
    for index, token in enumerate(tokens):
        title = token.word in cues.kept_titles or (
            token.word in cues.kept_modality_titles
            and (token.text.istitle() or text[token.end : token.end + 1] == ".")
            and not _is_gauge(text, token)
        )
        if not title and token.word not in cues.kept:
            continue
        last = before = token
        for follower in tokens[index + 1 : index + 4]:
            between = text[before.end : follower.start]
            if (
                title
                and last is token
                and follower.text.islower()
                and (f"{between}{text[follower.end :][:1]}").count(".") > 1
            ):
                before = follower  # Dr. med., Sig.ra
                continue
            called = title and last is token and follower.text.istitle()
            called = called and (vocabulary.is_called(follower.word) or follower.word in shorts)
            given = title and last is not token and between == ", " and bool(follower.unknown)  # Herr Frei, Thomas
            if not follower.word or not follower.text[0].isupper():
                break
            if not given and not expression(r"[ \t.'’^-]{1,3}").fullmatch(between):
                break
            if (follower.word in vocabulary.strong and not called) or (not title and follower.word in vocabulary.plain):
                break
            last = before = follower
        if last is not token and (title or len(last.word) > 1):
            spans.append((token.start if title else tokens[index + 1].start, last.end))
    return spans


def _tokens(text: str, spans: list[tuple[int, int]], vocabulary: Vocabulary) -> list[Token]:
    tokens: list[Token] = []
    whole: list[Token] = []  # what no identifier was cut out of
    position = 0
    for start, end in [*spans, (len(text), len(text))]:
        for match in _TOKEN.finditer(text, position, start):
            if match[0][0] != "_":
                tokens.append(_judge(match, text, tokens, vocabulary))
                whole.append(tokens[-1])
        if end > start:
            cut = text[start:end]
            tokens.append(Token(start, end, cut, fold(cut) if not expression(r"[\d@/]").search(cut) else ""))
        position = end
    _keep_units(text, tokens, whole)
    return tokens


def _keep_units(text: str, tokens: list[Token], whole: list[Token]) -> None:
    """Keep a number with the units behind it (95 ng/ml), or drop them together where a part of it was cut out."""
    for start, end in unit_chains(text):
        inside = [token for token in tokens if token.start < end and token.end > start]
        kept = all(start <= token.start and token.end <= end and token in whole for token in inside)
        for token in inside:
            token.keep, token.unknown, token.named = kept, (), not kept


def _judge(match: re.Match[str], text: str, before: list[Token], vocabulary: Vocabulary) -> Token:
    word = match[0].translate(_SUPERSCRIPTS) if _POWER.fullmatch(match[0]) else match[0]
    token = Token(match.start(), match.end(), match[0], "")
    if not any(char.isdigit() for char in word):
        token.word = fold(word)
        token.keep = token.word in vocabulary or (len(word) == 1 and word.isascii()) or _camel(word, vocabulary)
        token.keep = (
            token.keep or _is_written_out(token.word, vocabulary) or _is_genitive(token.word, before, vocabulary)
        )
        token.keep = token.keep or (token.word in vocabulary.small and word.islower()) or is_stage(word)
        token.keep = token.keep or vocabulary.forms.knows(token.word)
        token.unknown = () if token.keep or len(word) < 2 else (token.word,)
    elif not any(char.isalpha() for char in word):
        after_jpeg = bool(before) and before[-1].word in {"jpeg", "jpg"}
        token.keep = _is_measure(word, text, match, vocabulary) or (word == "2000" and after_jpeg)
    else:
        token.keep = _is_mixture(word, vocabulary) or is_stage(word) or is_window(text, *match.span())
        if not token.keep:
            pieces = expression(r"[^\W\d_]{2,}").findall(word)
            token.unknown = tuple(fold(p) for p in pieces if fold(p) not in vocabulary and not _camel(p, vocabulary))
    return token


def _is_written_out(word: str, vocabulary: Vocabulary) -> bool:
    """Tell whether a long word is one of the vocabulary with ae, oe, ue for an umlaut, or British: Schaedel, oesophagus."""
    if len(word) < _MIN_WRITTEN_OUT or not _WRITTEN_OUT.search(word):
        return False
    umlauts, british = _WRITTEN_OUT.sub(lambda match: match[0][0], word), _BRITISH.sub("e", word)
    return umlauts in vocabulary.strong or british in vocabulary.strong


def _is_genitive(word: str, before: list[Token], vocabulary: Vocabulary) -> bool:
    """Tell whether a word is the genitive of a noun of the vocabulary behind its article in German: des Ergusses."""
    if not before or before[-1].text not in _OF_THE or not word.endswith("s"):
        return False
    stems = (word.removesuffix("s"), word.removesuffix("es"))
    return any(len(stem) >= _MIN_STEM and (stem in vocabulary.strong or stem in vocabulary.plain) for stem in stems)


def _camel(word: str, vocabulary: Vocabulary) -> bool:
    """Tell whether a word such as SmartScore is made of vocabulary words of three letters and more."""
    pieces = _CAMEL.findall(word)
    if len(pieces) < 2 or "".join(pieces) != word:
        return False
    return all(len(piece) >= 3 and fold(piece) in vocabulary.strong for piece in pieces)


def _is_measure(number: str, text: str, match: re.Match[str], vocabulary: Vocabulary) -> bool:
    if not expression(r"[\d.,]+").fullmatch(number):
        return False  # digits that count nothing, as those in circles
    parts = expression(r"[.,]").split(number)
    if len(parts) == 2 and "." in number:
        return len(parts[0]) <= MAX_NUMBER_DIGITS and len(parts[1]) <= 6
    if len(parts) > 4 or any(len(part) > MAX_NUMBER_DIGITS for part in parts):
        return False
    if len(parts) > 1:
        return True
    if number.startswith("0") and len(number) > 2:
        return False  # leading zeros: it counts or names something
    before = text[max(0, match.start() - 2) : match.start()]
    signed = bool(expression(r"(?:.*[\s,;(])?[+±-]").fullmatch(before))
    if signed or len(number) < 4 or int(number) not in YEARS:
        return True
    return vocabulary.patterns.measures.is_value(text, *match.span())


def _is_mixture(word: str, vocabulary: Vocabulary) -> bool:
    """Tell whether letters and digits together are imaging (T1, B30f, 3x3, 5mm) rather than an identifier."""
    pieces = _PIECE.findall(word)
    letters = [fold(piece) for piece in pieces if piece[0].isalpha()]
    numbers = [piece for piece in pieces if piece[0].isdigit()]
    if not numbers or len(pieces) > 7 or sum(len(expression(r"\D").sub("", number)) for number in numbers) > 10:
        return False
    if fold(word) in vocabulary:
        return True
    known = [
        fold(p) in vocabulary or (len(p) == 1 and p.isascii()) or _camel(p, vocabulary) for p in pieces if p.isalpha()
    ]
    if not all(known):
        return False
    longest = max((len(part) for number in numbers for part in expression(r"[.,]").split(number)), default=0)
    if set(letters) <= {"x"}:
        return longest <= MAX_NUMBER_DIGITS
    if pieces[0][0].isdigit() and len(letters) == 1:  # a number and its unit: 120kV, 1000ms
        return longest <= (MAX_NUMBER_DIGITS if letters[0] in vocabulary.strong else 2)
    if any(len(part) >= 2 or part in _LONG_AFTER for part in letters):
        return longest <= MAX_NUMBER_DIGITS
    return longest <= 2


def _apply_cues(text: str, tokens: list[Token], vocabulary: Vocabulary) -> None:
    """Drop the words after a title, those before a credential, and weak ones after a soft cue."""
    cues = vocabulary.cues
    for index, token in enumerate(tokens):
        title = token.word in cues.titles or _is_title(text, tokens, index, vocabulary)
        relative = token.word in cues.relatives
        _apply_marks(text, tokens, index, vocabulary)
        if not title and not relative and (token.word not in cues.soft or not (token.keep or token.unknown)):
            continue
        token.keep, token.named = token.keep and not title, title
        cue = token
        for previous, follower in pairwise(tokens[index : index + 4]):
            if title and previous is token and follower.text.islower() and text[token.end : follower.start] == ".":
                follower.keep, follower.named, cue = False, True, follower  # Sig.ra
                continue
            if not follower.word or re.search(
                r"[;\n\r()]" if relative else r"[;:\n\r()]", text[cue.end : follower.start]
            ):
                break
            if relative and follower.word in cues.relative_links:
                continue
            if follower.word in cues.conjunctions and previous.named and not previous.keep:
                continue  # Drs. Hay and Tang
            written_as_name = (token.text.istitle() and follower.text.istitle()) or follower.word in vocabulary.surnames
            named = title and (len(follower.word) == 1 or (previous is cue and written_as_name))
            called = follower.word in vocabulary.negations and follower.word in vocabulary.surnames
            named = named or (called and previous is token and follower.text.istitle())  # for Nada
            capital = follower.text[0].isupper() or (text.islower() and follower.word in vocabulary.surnames)
            if not title and token.phrase and follower.phrase:
                break  # kyste de Baker
            if not title and follower.eponym and previous is cue and _is_of_a_thing(tokens, index, vocabulary):
                break  # lesión de Hill-Sachs
            if vocabulary.is_sure(follower.word) and not (named and capital):
                break
            if not title and follower.text.islower() and follower.word in cues.sides:
                break  # invece di destra
            if not title and follower.text.islower() and not text.islower() and vocabulary.is_region(follower.word):
                break  # kyste du rein
            weak = follower.word in vocabulary.plain or follower.word in vocabulary.small
            if not title and weak and follower.text.islower():
                continue  # a name has a capital
            follower.keep, follower.named = False, True


def _is_of_a_thing(tokens: list[Token], index: int, vocabulary: Vocabulary) -> bool:
    """Tell whether a preposition stands behind a sure word for a thing, which is called after somebody."""
    before = tokens[index - 1] if index else None
    if before is None or tokens[index].word not in OF or not before.keep or before.word in vocabulary.cues.study:
        return False
    return before.word in vocabulary.strong and before.word not in vocabulary.cues.soft | vocabulary.cues.roles


def _drop_persons(text: str, tokens: list[Token], vocabulary: Vocabulary) -> None:
    """Drop the words that a title or label makes names whatever the vocabulary says of them."""
    starts = [token.start for token in tokens]
    for start, end in vocabulary.patterns.persons.spans(text, vocabulary):
        for token in tokens[bisect_left(starts, start) : bisect_left(starts, end)]:
            if token.end <= end:
                token.keep, token.named = False, True


def _apply_marks(text: str, tokens: list[Token], index: int, vocabulary: Vocabulary) -> None:
    """Drop names before a credential or role, initials, and surnames behind a label's colon or a word of contact."""
    cues, token = vocabulary.cues, tokens[index]
    if token.word in cues.credentials:
        token.named = True
        _drop_before(text, tokens, index, vocabulary)
    if token.word in cues.initials:
        _drop_initials(text, token, tokens[index + 1 : index + 4])
    elif token.word in cues.roles:
        _drop_initials(text, token, tokens[index + 1 : index + 4], vocabulary, ends=True)
    if token.word in cues.marked_initials and expression(r"[ \t]?[:=]").match(text[token.end :]):
        _drop_initials(text, token, tokens[index + 1 : index + 4], vocabulary)
    if (token.word in cues.soft or token.word in cues.roles) and index + 1 < len(tokens):
        _drop_labelled(text, tokens, index, vocabulary)
    if index + 1 < len(tokens):
        _drop_in_small(text, tokens, index, vocabulary)
    if token.word in cues.contacts and index + 2 < len(tokens):
        _drop_contact(text, tokens[index : index + 4], vocabulary)
    if index and token.word in cues.roles:
        _drop_before_role(text, tokens[index - 1], token, vocabulary)


def _drop_labelled(text: str, tokens: list[Token], index: int, vocabulary: Vocabulary) -> None:
    """Drop a surname behind the colon of a label for a person: Radiologist: Tang; not Patient: Nie operiert."""
    label, name = tokens[index], tokens[index + 1]
    if (
        not name.word
        or not name.text[0].isupper()
        or not expression(r" ?[:=] ?").fullmatch(text[label.end : name.start])
    ):
        return
    following = tokens[index + 2] if index + 2 < len(tokens) else None
    if following is not None and following.text.islower() and text[name.end : following.start].isspace():
        return
    if vocabulary.may_be_called(name.word):
        name.keep, name.named = False, True


def _drop_in_small(text: str, tokens: list[Token], index: int, vocabulary: Vocabulary) -> None:
    """Drop a surname in lower case behind a word for a person: Patient foley, by: dell, seen by foley; not Patient hat Fieber.

    Behind a preposition alone it may be a thing's (per una), so that one needs a colon or a word before it that tells of a deed.
    """
    cues, cue, name = vocabulary.cues, tokens[index], tokens[index + 1]
    if not name.text.islower() or not vocabulary.is_called_in_small(name.word):
        return
    if name.phrase and index + 2 < len(tokens) and tokens[index + 2].phrase:
        return  # kerley b lines
    if name.word in cues.conditions and cue.word in cues.persons:
        return  # paciente grave
    between = text[cue.end : name.start]
    marked = vocabulary.is_cue(cue.word) and expression(r"\.?[ \t]?[:=][ \t]?").fullmatch(between) is not None
    deed = index > 0 and cue.word in cues.initials
    deed = deed and tokens[index - 1].word in cues.contacts | cues.soft | cues.marked_initials
    person = cue.word in cues.persons or (cue.word in cues.soft and (cue.word not in cues.dangling or deed))
    beside = person and expression(r"\.?[ \t]{1,2}").fullmatch(between) is not None
    if (marked or beside) and not begins_phrase(text, name.end, vocabulary):
        name.keep, name.named = False, True


def _drop_initials(
    text: str, cue: Token, followers: list[Token], vocabulary: Vocabulary | None = None, *, ends: bool = False
) -> None:
    """Drop initials after "by": up to three capitals, together or one by one, also in brackets; no modality.

    With a vocabulary no term of it, and with `ends` only in brackets or where the clause ends behind them.
    """
    last = cue
    for follower in followers:
        letters = follower.text if follower.text.isalpha() and follower.text.isupper() else ""
        between, behind = text[last.end : follower.start], text[follower.end : follower.end + 1]
        bracketed = last is cue and behind == ")" and expression(r"\.? ?\(").fullmatch(between) is not None
        if not bracketed and not expression(r"[ \t.:=-]{1,3}").fullmatch(between):
            break
        if not letters or len(letters) > (3 if last is cue else 1) or follower.word in MODALITIES:
            break
        if len(letters) > 1 and ends and not bracketed and not ENDS.match(text, follower.end):
            break
        strict = bracketed or not ends
        if (
            len(letters) > 1
            and vocabulary is not None
            and _is_term(text, cue, follower.word, vocabulary, strict=strict)
        ):
            break
        follower.keep, follower.named = False, True
        if len(letters) > 1:
            break
        last = follower


def _is_term(text: str, cue: Token, word: str, vocabulary: Vocabulary, *, strict: bool) -> bool:
    """Tell whether capitals behind a word for what somebody did are a term: a view, a side, what denies, three letters.

    Any strong word is one behind a side, what is planned and among capitals alone, and where it is not `strict`.
    """
    cues = vocabulary.cues
    if word in cues.study or word in vocabulary.negations:
        return True
    lenient = not strict or cue.word in cues.study or cue.word in cues.planning or text.isupper() or len(word) > _PAIR
    return lenient and word in vocabulary.strong


def _is_title(text: str, tokens: list[Token], index: int, vocabulary: Vocabulary) -> bool:
    """Tell whether Dr, Mr or Ms is a title rather than a modality or a unit: so written, or followed by a name."""
    token = tokens[index]
    if token.word not in vocabulary.cues.modality_titles:
        return False
    if expression(r"\.?[ -]?\d").match(text[token.end :]) or _is_gauge(text, token):
        return False  # Sr-89, 7 Fr
    if token.text.istitle() or text[token.end : token.end + 1] == ".":
        return True
    following = tokens[index + 1] if index + 1 < len(tokens) else None
    if (
        following is None
        or not following.word
        or not expression(r"[ \t]+").fullmatch(text[token.end : following.start])
    ):
        return False
    if token.text.isupper() and following.text.isupper() and following.unknown:
        return False  # MR LGE: the word goes as unknown whether it is a name or a protocol
    imaging = vocabulary.is_sure(following.word) or following.word in vocabulary.plain
    return not (following.text.islower() or imaging or _is_written_out(following.word, vocabulary))


def _is_gauge(text: str, token: Token) -> bool:
    """Tell whether Fr is the gauge of a catheter."""
    return token.word == "fr" and _GAUGE_BEFORE.search(text[max(0, token.start - 4) : token.start]) is not None


def _drop_contact(text: str, four: list[Token], vocabulary: Vocabulary) -> None:
    """Drop a surname in "discussed with Tang", where its clause ends behind it or a preposition goes on: at 14:00."""
    word, link, name = four[:3]
    cues, behind = vocabulary.cues, text[name.end :]
    written = name.text.istitle() or (text.isupper() and name.text.isalpha())
    if link.word not in cues.contact_links or not written or not vocabulary.may_be_called(name.word):
        return
    following = four[3].word if len(four) > 3 and (four[3].text.islower() or text.isupper()) else ""
    goes_on = following in cues.dangling and following not in OF and not vocabulary.is_study(name.word)
    blank = text[word.end : link.start].isspace() and text[link.end : name.start].isspace()
    if blank and (expression(r"\s*(?:$|[,;.)])").match(behind) or (goes_on and behind[:1] == " ")):
        name.keep, name.named = False, True


def _drop_before_role(text: str, name: Token, role: Token, vocabulary: Vocabulary) -> None:
    """Drop a surname before what its bearer does: Hay (radiographer), Tang/MTRA."""
    known = vocabulary.may_be_called(name.word)
    if known and name.text.istitle() and text[name.end : role.start] in {" (", ", ", "/", " / ", " - "}:
        name.keep, name.named = False, True


def _drop_before(text: str, tokens: list[Token], index: int, vocabulary: Vocabulary) -> None:
    for earlier in reversed(tokens[max(0, index - 2) : index]):
        called = earlier.word in vocabulary.surnames and earlier.text[0].isupper()  # Mai, MD
        if not earlier.word or (earlier.word in vocabulary.strong and not called):
            break
        if not expression(r"[\s.,\w]*").fullmatch(text[earlier.end : tokens[index].start]):
            break
        earlier.keep, earlier.named = False, True


def _drop_neighbours(text: str, tokens: list[Token], vocabulary: Vocabulary) -> None:
    """Drop initials and words that are names too where they touch a dropped word: they are the rest of a name.

    A number that can be an age above 89, in years or months, goes with the unknown word behind it, and so does one that can
    be the postcode of a town, or an extension with its label (DW 120 Müller).
    """
    for token, following in pairwise(tokens):
        dotted = is_initial(token) and not token.eponym and text[token.end : following.start] in {". ", "."}
        if dotted and following.word in vocabulary.names and following.text[:1].isupper():
            token.keep = following.keep = False  # W. White
        pointed = text[following.end : following.end + 1] == "." and text[token.end : following.start] in {" ", ", "}
        side = following.text in ("L", "R") and expression(r"\. [a-z]").match(text[following.end :])  # Stone R. kidney
        side = side or expression(r"\.[a-z]").match(text[following.end :])  # Bei V.a. Fraktur
        if pointed and not side and is_initial(following) and token.word in vocabulary.names and token.text.istitle():
            token.keep = following.keep = False  # Tan W.
        if following.unknown and _OLD.fullmatch(token.text) and text[token.end : following.start] in {"", " ", "-"}:
            token.keep = False
    for token, following in [*pairwise(tokens), *((after, first) for first, after in pairwise(tokens))]:
        if token.keep and following.unknown and _is_called(text, token, following, vocabulary):
            token.keep, token.named = False, True
    for index in range(len(tokens) - 1):
        if _is_postcode(text, tokens, index, vocabulary):
            tokens[index].keep = tokens[index + 1].keep = False
    for label, number, name in zip(tokens, tokens[1:], tokens[2:], strict=False):
        called = not name.keep and (name.named or name.text[:1].isupper())
        extension = label.word in vocabulary.cues.extensions and re.fullmatch(r"\d{2,5}", number.text, re.ASCII)
        if called and extension and text[number.end : name.start] in {" ", ", "}:
            label.keep = number.keep = False
    changed = True
    while changed:
        changed = False
        for index, token in enumerate(tokens):
            if not token.keep or not (token.eponym or token.word in vocabulary.names or is_initial(token)):
                continue
            for other in tokens[max(0, index - 1) : index] + tokens[index + 1 : index + 2]:
                side = token.text in ("L", "R") and other.text.islower() and text[token.end : token.end + 1] != "."
                if side and other.unknown:
                    continue  # plantar fasciitis L foot
                if other.start > token.start and other.unknown and other.text.islower() and not text.islower():
                    continue  # V.a. Perthes, with a word behind that is no name
                if _touches_name(text, token, other) and not _is_title_behind(text, token, other, vocabulary):
                    token.keep, changed = False, True
                    break


def _is_called(text: str, token: Token, unknown: Token, vocabulary: Vocabulary) -> bool:
    """Tell whether a word that denies is a surname: beside an unknown word, both with a capital, and no word denied.

    Inside a clause a word that denies has no capital where the word behind has none.
    """
    if token.word not in vocabulary.negations or token.word not in vocabulary.surnames:
        return False
    first, last = sorted((token, unknown), key=lambda one: one.start)
    if not (token.text.istitle() and unknown.text.istitle()) or text[first.end : last.start] not in {" ", ", ", "^"}:
        return False
    start, _ = _clause(text, token.start, token.end)
    _, end = _clause(text, last.end, last.end)
    behind = _LETTERS.findall(text[last.end : end])
    inside = bool(_LETTERS.search(text, start, token.start))
    return all(fold(word) in vocabulary.cues.study for word in behind) or (inside and behind[0].islower())


def _is_postcode(text: str, tokens: list[Token], index: int, vocabulary: Vocabulary) -> bool:
    """Tell whether a number of four or five digits stands before a dropped word with a capital: in 6067 Absam.

    A round one is a measure unless a comma or a word such as "in" stands before it; behind the name of a parameter any is.
    Two capitals (3511 NR) may be a plain word too where a dropped word with a capital stands before the number.
    """
    token, town = tokens[index], tokens[index + 1]
    if not re.fullmatch(r"\d{4,5}", token.text, re.ASCII) or text[token.end : town.start] != " ":
        return False
    before = tokens[index - 1] if index else None
    if len(town.word) == 2:
        behind_town = before is not None and not before.keep and len(before.word) > 2 and before.text[0].isupper()
        if not town.text.isupper() or len(token.text) > 4 or town.word in vocabulary.strong:
            return False
        if town.keep and not behind_town:
            return False
    elif town.keep or len(town.word) < 3 or not town.text[0].isupper():
        return False
    word = before.word if before is not None else ""
    if word in _PARAMETERS:
        return False
    return not token.text.endswith("00") or word in vocabulary.cues.dangling or text[: token.start].endswith(", ")


def _is_title_behind(text: str, token: Token, other: Token, vocabulary: Vocabulary) -> bool:
    """Tell whether a title stands behind a blank, whose name follows it: ginocchio destro Sig. Rossi."""
    titles = vocabulary.cues.titles | vocabulary.cues.modality_titles
    behind = other.start > token.start and text[token.end : other.start] == " "
    return behind and other.word in titles and expression(r"\.? ?[^\W\d_]").match(text[other.end :]) is not None


def _touches_name(text: str, token: Token, other: Token) -> bool:
    if other.keep or not other.word:
        return False
    if len(other.word) < 2:  # W.M. Tan
        first, last = sorted((token, other), key=lambda one: one.start)
        return is_initial(token) and is_initial(other) and text[first.end : last.start] in {".", ". "}
    between = text[min(token.end, other.end) : max(token.start, other.start)]
    return bool(expression(r"[\s.,'’^-]{1,3}").fullmatch(between))


def _drop_dangling(text: str, tokens: list[Token], vocabulary: Vocabulary) -> None:
    """Drop prepositions and the like that lost what they point at."""
    cues = vocabulary.cues
    for index in range(len(tokens) - 2, -1, -1):
        token = tokens[index]
        if not token.keep or token.word not in cues.dangling or tokens[index + 1].keep or text[token.end] == ".":
            continue
        if token.word in vocabulary.negations and not tokens[index + 1].named:
            continue  # né, which is French for born
        if token.word in cues.contacts and index > 1 and denies(text, tokens, index - 1, vocabulary):
            continue  # fracture not seen by Smith
        rest = next((later for later in tokens[index + 1 :] if later.keep), None)
        if (
            rest is None
            or token.word not in cues.articles
            or expression(r"[\r\n]").search(text[token.end : rest.start])
        ):
            token.keep = False


def _clause_mark(between: str) -> str:
    marks = expression(r"[,;:]|\.(?=\s)").findall(between)
    return marks[-1] if marks else ""


def _join(text: str, tokens: list[Token], *, denies: bool) -> str:
    """Put the kept words together again: separators between neighbours stay, gaps become one blank.

    Where a word denies, a mark between clauses stays in a gap: no ..., effusion.
    """
    parts: list[str] = []
    last: Token | None = None
    gap = False
    for token in tokens:
        if not token.keep:
            gap = True
            continue
        between = text[last.end if last else 0 : token.start]
        if gap:
            opening = expression(r"[(\[{<]+$|(?<![\w.)\]])[+\-*#]$").search(between)
            closing = _CLOSING.match(between) if last else None
            line_end = expression(r"[\r\n\f]+").search(between)
            blank = "" if last is None else line_end[0] if line_end else f"{_clause_mark(between)} " if denies else " "
            between = f"{closing[0] if closing else ''}{blank}{opening[0] if opening else ''}"
        parts += [between, token.text]
        last, gap = token, False
    if last is None:
        return ""
    tail = text[last.end :]
    if gap:
        closing = _CLOSING.match(tail)
        tail = closing[0] if closing else ""
    return tidy("".join(parts) + tail)
