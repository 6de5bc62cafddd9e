"""Clinical phrases in six languages, whose words a descriptor should keep; two pools without a phrase in common.

The phrases of the pools are disjoint; single words (CT, CHEST, CONTRAST) occur in both, as they do in every hospital.
"""

from __future__ import annotations

import random
import re

from benchmarks.quality.pools import REPORTED_FROM

LANGUAGES = ("en", "de", "fr", "es", "it", "nl")

DEVELOPMENT: dict[str, tuple[str, ...]] = {
    "en": (
        "CT CHEST WITH CONTRAST",
        "MRI brain without gadolinium",
        "Ultrasound abdomen complete",
        "Chest PA and lateral",
        "CT abdomen pelvis portal venous phase",
        "T2 FLAIR axial",
        "Mammogram bilateral screening",
        "Lumbar spine sagittal T1",
        "PET whole body attenuation corrected",
        "Left knee MR coronal",
        "Coronary angiography retrospective gating",
        "Right shoulder arthrogram",
        "Thyroid uptake scan",
        "Renal artery duplex",
        "CT colonography supine",
        "Diffusion weighted imaging of the prostate",
        "Follow-up lung nodule low dose",
        "Soft tissue neck",
        "Cervical spine oblique",
        "Liver biopsy guidance",
    ),
    "de": (
        "CT Thorax mit Kontrastmittel",
        "Schädel nativ",
        "Abdomen Sonographie Leber",
        "Wirbelsäule seitlich",
        "Hüfte rechts",
        "Becken Übersicht",
    ),
    "fr": (
        "Scanner thoracique avec injection",
        "IRM cérébrale sans produit de contraste",
        "Échographie abdominale",
        "Radiographie du genou droit",
        "Rachis lombaire profil",
    ),
    "es": (
        "Tórax posteroanterior y lateral",
        "Resonancia magnética cerebral",
        "Ecografía abdominal",
        "Columna lumbar",
        "Rodilla derecha",
    ),
    "it": (
        "TC torace con mezzo di contrasto",
        "Ecografia addome superiore",
        "Risonanza magnetica encefalo",
        "Ginocchio sinistro",
        "Colonna cervicale",
    ),
    "nl": (
        "CT thorax met contrast",
        "Echo bovenbuik",
        "MRI hersenen",
        "Linker knie",
        "Wervelkolom lumbaal",
    ),
}

REPORTED: dict[str, tuple[str, ...]] = {
    "en": (
        "CT HEAD WITHOUT CONTRAST",
        "MRI cervical spine with gadolinium",
        "Ultrasound pelvis transvaginal",
        "Abdomen supine and erect",
        "CT pulmonary angiogram arterial phase",
        "T1 MPRAGE sagittal",
        "Breast tomosynthesis diagnostic right",
        "Thoracic spine axial T2",
        "Bone scan three phase",
        "Right ankle MR axial",
        "Cardiac perfusion stress and rest",
        "Left hip arthrography",
        "Parathyroid scintigraphy delayed",
        "Carotid artery doppler",
        "CT enterography oral contrast",
        "Dynamic contrast enhanced breast imaging",
        "Surveillance aortic aneurysm post stent",
        "Paranasal sinuses coronal",
        "Sacrum and coccyx lateral",
        "Percutaneous nephrostomy drainage",
    ),
    "de": (
        "CT Abdomen mit Kontrastmittel",
        "Halswirbelsäule seitlich",
        "Schilddrüse Sonographie",
        "Kniegelenk links",
        "Mammographie beidseits",
        "Herz MRT Perfusion",
    ),
    "fr": (
        "Scanner abdominal sans injection",
        "IRM du genou gauche",
        "Échographie rénale",
        "Radiographie pulmonaire de face",
        "Angiographie cérébrale",
    ),
    "es": (
        "Tomografía de abdomen con contraste",
        "Resonancia de rodilla izquierda",
        "Ecografía renal",
        "Columna cervical lateral",
        "Mamografía bilateral",
    ),
    "it": (
        "TC addome senza mezzo di contrasto",
        "Ecografia tiroide",
        "Risonanza magnetica ginocchio destro",
        "Radiografia torace",
        "Colonna lombare",
    ),
    "nl": (
        "CT abdomen zonder contrast",
        "Echo schildklier",
        "MRI rechter knie",
        "Thorax staand",
        "Halswervelkolom",
    ),
}

# Words of grammar are never asked for: the MIDI-B rules drop stop words too.
STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "of",
        "the",
        "with",
        "without",
        "for",
        "from",
        "by",
        "to",
        "in",
        "on",
        "at",
        "or",
        "und",
        "mit",
        "von",
        "der",
        "die",
        "das",
        "des",
        "für",
        "bei",
        "le",
        "la",
        "les",
        "de",
        "du",
        "des",
        "avec",
        "sans",
        "par",
        "pour",
        "et",
        "y",
        "el",
        "los",
        "las",
        "con",
        "sin",
        "para",
        "del",
        "di",
        "da",
        "del",
        "il",
        "lo",
        "per",
        "senza",
        "van",
        "voor",
        "met",
        "de",
        "het",
        "een",
        "door",
        "zonder",
    ]
)


def phrase(rng: random.Random, seed: int, language: str = "en", pool: dict | None = None) -> str:
    """Return a phrase of the seed's pool in a language."""
    pool = pool or (REPORTED if seed >= REPORTED_FROM else DEVELOPMENT)
    return rng.choice(pool[language])


def words(text: str) -> tuple[str, ...]:
    """Return the words of a phrase that have to stay: no stop words, nothing of one character."""
    found = re.findall(r"[^\W_]+(?:-[^\W_]+)*", text)
    return tuple(word for word in found if len(word) > 1 and word.casefold() not in STOP_WORDS)
