"""What tests of free text share: the vocabulary of all languages, a lexicon that knows nobody, the cleaning of a text."""

from __future__ import annotations

from phi_deid_pipeline.free_text import clean_descriptor, load_vocabulary
from phi_deid_pipeline.lexicon import Lexicon

VOCABULARY = load_vocabulary()
NOBODY = Lexicon()


def clean_text(text: str, lexicon: Lexicon = NOBODY) -> str:
    """Return what is left of a description of a patient of whom the lexicon knows."""
    return clean_descriptor(text, lexicon, VOCABULARY)
