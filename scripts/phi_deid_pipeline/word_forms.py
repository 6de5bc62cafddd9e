"""Words that show by their form that they are of medicine: endings, parts, stages of tumours."""

from __future__ import annotations

import re

# TNM and what is written with it: cT2c, ypT0N0, pN1mi, L0, Pn1, R0.
_TUMOUR = r"T(?:[0-4](?:mi|[a-d][12]?)?|is|[Xx])"
_NODES = r"N(?:[0-3](?:mi|[a-d])?|[Xx])"
_DISTANT = r"M(?:[01][a-d]?|[Xx])"
_STAGE = re.compile(rf"(?:[cpyram]{{0,3}}(?:{_TUMOUR}|{_NODES}|{_DISTANT}))+|[cp]?(?:[LVR][0-2X]|Pn[01X]|G[1-4X])")


def is_stage(word: str) -> bool:
    """Tell whether a word is a stage of a tumour as the TNM classification writes it."""
    return _STAGE.fullmatch(word) is not None
