"""Write the surnames, given names and places of Faker's lists, one a line, for `generate.py --names`.

Usage: python resources/vocabularies/names_from_faker.py OUTPUT_FILE [--locales]     (needs Faker, the pipeline does not)

`--locales` writes the locale and a tab before each entry, as tests/benchmarks/words/decide.py reads it.

Person lists of locales in Latin script, address lists of all locales.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_PERSON = ("first_name", "last_name", "middle_name")
_ADDRESS = ("cit", "countr", "town", "village")
_NOT_NAMES = ("format", "suffix", "prefix", "abbr", "code", "number", "postal", "zip")


def locales(kind: str) -> list[str]:
    """Return the locales for which Faker has a provider of that kind."""
    package = importlib.import_module(f"faker.providers.{kind}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def strings(value: object) -> Iterator[str]:
    """Yield every string in nested lists, tuples, sets and dictionary keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Iterable):
        for item in value:
            yield from strings(item)


def names(kind: str, locale: str, parts: tuple[str, ...]) -> set[str]:
    """Return the entries of a locale's lists whose attribute names hold one of `parts`."""
    provider = importlib.import_module(f"faker.providers.{kind}.{locale}").Provider
    found: set[str] = set()
    for attribute in dir(provider):
        wanted = any(part in attribute for part in parts) and not any(part in attribute for part in _NOT_NAMES)
        value = getattr(provider, attribute)
        if wanted and not attribute.startswith("_") and not callable(value):
            found.update(text for text in strings(value) if "{" not in text)
    return found


def is_latin(found: set[str]) -> bool:
    """Tell whether most entries are in Latin script."""
    return sum(text[:1].isascii() or text[:1] < "\u0250" for text in found) * 2 > len(found)


def main(target: Path, *, with_locale: bool) -> None:
    """Write the sorted list."""
    found: set[tuple[str, str]] = set()
    for locale in locales("person"):
        people = names("person", locale, _PERSON)
        if is_latin(people):
            found |= {(locale, name) for name in people}
    for locale in locales("address"):
        found |= {(locale, name) for name in names("address", locale, _ADDRESS)}
    lines = sorted({f"{locale}\t{name}" if with_locale else name for locale, name in found})
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), with_locale="--locales" in sys.argv[2:])
