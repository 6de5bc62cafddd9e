"""Head CT and MR of thin slices can show a face; what headers say decides."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.recognizable import HEAD_CODES, Slices, names_head, shows_face, slice_distance


@pytest.mark.parametrize(
    "text",
    [
        *("HEAD", "BRAIN", "SKULL", "HEADNECK", "HEAD AND NECK", "WHOLEBODY", "Whole Body", "SINUS", "ORBITS", "IAC"),
        *("t1_mprage_sag_p2_iso", "MR Brain w/wo", "CT HEAD W/O CONTRAST", "NeuroRoutine", "Cranial CT", "ct-cranium"),
        *("Schädel nativ", "cCT Schaedel", "Kopf-Hals", "NNH coronal", "Gehirn", "Ganzkörper PET", "Felsenbeine"),
        *(
            "IRM cérébrale",
            "Tête et cou",
            "crâne",
            "cabeza",
            "CRÁNEO SIMPLE",
            "encefalo",
            "cranio",
            "Hersenen",
            "hoofd",
        ),
        *("głowa", "mózgu", "hjärna", "голова", "Головной мозг", "頭部単純", "头颅", "두부 CT", "κεφαλή", "BEYIN MR"),
        *("massif facial", "3D_BRAIN_AX", "BrainLab", "Circle of Willis CoW"),
    ],
)
def test_words_of_the_head_are_found_in_several_languages(text: str) -> None:
    assert names_head((), ["", text])


@pytest.mark.parametrize(
    "text",
    [
        *("CHEST", "ABDOMEN", "Thorax", "Femoral head", "fracture of the humeral head", "Head of pancreas", "HIP"),
        *(
            "Head First Supine",
            "sinus rhythm",
            "coronary sinus",
            "overhead",
            "ahead",
            "Ohr",
            "series 1",
            "",
            "forehead",
        ),
        *("Linac", "surface", "interface", "knee", "earlier", "nosed"),
    ],
)
def test_other_words_are_not(text: str) -> None:
    assert not names_head((), [text])


def test_codes_of_the_region_count_without_any_word() -> None:
    assert names_head([("69536005", "SCT")], ["Routine"])
    assert names_head([("T-D1100", "SRT")], [])
    assert not names_head([("T-D1100", "LN"), ("51185008", "SCT"), ("T-D3000", "SRT")], [])
    assert all(scheme in {"SCT", "SRT", "SNM3", "99SDM"} for _, scheme in HEAD_CODES)


@pytest.mark.parametrize(
    ("thickness", "spacing", "distance"),
    [(5.0, 0.0, 5.0), (0.0, 2.0, 2.0), (5.0, 1.0, 1.0), (1.0, 10.0, 1.0), (0.0, 0.0, 0.0), (-1.0, 3.0, 3.0)],
)
def test_the_smaller_distance_counts(thickness: float, spacing: float, distance: float) -> None:
    assert slice_distance(thickness, spacing) == distance


@pytest.mark.parametrize(
    ("slices", "flags"),
    [
        ([Slices(1, 1.0, True)] * 20, [True] * 20),
        ([Slices(1, 1.0, True)] * 19, [False] * 19),
        ([Slices(1, 3.0, True)] * 20, [True] * 20),
        ([Slices(1, 3.1, True)] * 20, [False] * 20),
        ([Slices(1, 0.0, True)] * 20, [True] * 20),
        ([Slices(1, 1.0, False)] * 20, [False] * 20),
        ([Slices(176, 1.0, True)], [True]),
        ([Slices(1, 1.0, True)] * 20 + [Slices(1, 5.0, True)], [True] * 20 + [False]),
        ([Slices(1, 1.0, True)] * 19 + [Slices(1, 5.0, True)], [False] * 20),
        ([], []),
    ],
)
def test_thin_slices_of_a_head_are_flagged_where_there_are_enough(slices: list[Slices], flags: list[bool]) -> None:
    assert shows_face(slices, 3.0, 20) == flags
