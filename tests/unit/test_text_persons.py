"""Behind a title or a label a word is a name, whatever the vocabulary says of it; modalities and regions stay."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.free_text import load_vocabulary
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from text_cleaning import clean_text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Dr HAND knee", "knee"),
        ("DR. HAND knee", "knee"),
        ("MRS HAND KNEE", "KNEE"),
        ("FRAU HAND KNIE", "KNIE"),
        ("Dr W Hand knee", "knee"),
        ("Dr. W. Hand knee", "knee"),
        ("Dr Will Hand knee", "knee"),
        ("Mrs Gold-Silver knee", "knee"),
        ("Mrs Kowalski Cervical spine", "Cervical spine"),
        ("Dr. Stein-Hand Knie", "Knie"),
        ("Frau Hand Knie rechts", "Knie rechts"),
        ("Dr. van der Hart knie", "knie"),
        ("Dr. de la Mano rodilla", "rodilla"),
        ("Dr. Cuello Mano rodilla", "rodilla"),
        ("Prof. Dr. med. Hand Knie", "Knie"),
        ("dhr Hand knie", "knie"),
        ("mevr. Hand knie", "knie"),
        ("mw Voet knie", "knie"),
        ("SR. MANO RODILLA", "RODILLA"),
    ],
)
def test_a_word_of_imaging_behind_a_title_is_a_name(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Name: Will Hand", ""),
        ("Surname: Cross knee", "knee"),
        ("cognome: Testa ginocchio", "ginocchio"),
        ("apellido: Mano rodilla", "rodilla"),
        ("nom: Bras genou", "genou"),
        ("achternaam: Voet knie", "knie"),
        ("Nachname: Hand, Thorax links", "links"),
        ("Überweiser: Hand Knie", "Knie"),
        ("médecin: Bras genou", "genou"),
        ("radiologist: Cross knee", "knee"),
        ("requested by: Cross knee", "requested knee"),
    ],
)
def test_a_word_of_imaging_behind_a_label_of_persons_is_a_name(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "DR CHEST",
        "MR KNEE",
        "DR abdomen",
        "MR Hand",
        "7 Fr catheter",
        "series name: Axial T2",
        "Radiologist: No fracture",
        "name: knee",
        "Name: T2 axial",
        "TE 30 ms Hand",
    ],
)
def test_modalities_and_what_names_nobody_stay(text: str) -> None:
    assert clean_text(text) in (text, text.replace("Radiologist: ", ""))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Crohn, Peter", ""),
        ("CROHN, PETER", ""),
        ("Siemens, Peter", ""),
        ("Whipple, John A.", ""),
        ("Whipple, John A. CT Abdomen", "CT Abdomen"),
        ("Page, Thomas knee", "knee"),
        ("CT Abdomen for Crohn, Peter", "CT Abdomen"),
        ("CT Abdomen (Crohn, Peter)", "CT Abdomen"),
        ("CT Abdomen; Crohn, Jürgen", "CT Abdomen"),
        ("Crohn, Hans-Peter", ""),
        ("Whipple J", ""),
        ("Crohn P.", ""),
        ("Alzheimer, A.", ""),
        ("WHIPPLE J.", ""),
    ],
)
def test_a_word_that_a_thing_is_called_after_is_a_surname_by_form(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "Crohn, chronic",
        "Crohn, Colon",
        "Hodgkin, stage 2",
        "Left, Hip",
        "CT, MR",
        "Whipple, Pancreas",
        "Modic I",
        "Meckel R",
        "Crohn L.",
        "Whipple CT",
        "Dixon W",
        "CT Crohn I",
        "Morbus Crohn, Thorax",
    ],
)
def test_a_word_that_a_thing_is_called_after_stays_beside_words_of_imaging(text: str) -> None:
    assert clean_text(text) == text


def test_thing_within_a_sentence_stays_before_a_given_name() -> None:
    assert clean_text("Morbus Crohn, Peter") == "Morbus Crohn"


def test_surnames_of_things_are_vocabulary_and_given_names_are_not() -> None:
    vocabulary = load_vocabulary()
    assert vocabulary.called_after
    assert all(word in vocabulary for word in vocabulary.called_after)
    assert vocabulary.given_names
    assert not [word for word in vocabulary.given_names if word in vocabulary or word in vocabulary.eponyms]


@pytest.mark.parametrize(
    "text",
    [
        "Perthes",
        "V.a. Perthes rechts",
        "NASH",
        "CT Abdomen NASH",
        "PAU",
        "Aorta mit PAU",
        "Dupuytren",
        "MRT Hüfte: FAI",
    ],
)
def test_an_eponym_or_acronym_stays_alone_where_nothing_points_to_a_person(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Nash", ""),
        ("CT Abdomen Nash", "CT Abdomen"),
        ("CT ABDOMEN DR NASH", "CT ABDOMEN"),
        ("Frau Perthes MRT Knie", "MRT Knie"),
        ("Perthes Glarfmann", ""),
        ("CT Abdomen for Perthes", "CT Abdomen"),
        ("CT Kowalska NASH", "CT"),
    ],
)
def test_an_eponym_or_acronym_goes_where_something_does(text: str, left: str) -> None:
    assert clean_text(text) == left


def test_an_eponym_that_is_the_name_of_the_patient_goes() -> None:
    patient = Lexicon([Entry(Category.NAME, "Perthes^Nash")])
    assert clean_text("CT Perthes NASH", patient) == "CT"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Whipple J CT", "CT"),
        ("CT Whipple J", "CT"),
        ("Brown J CT", "CT"),
        ("MRT Brown K. Knie", "MRT Knie"),
        ("Crohn Peter", ""),
        ("Peter Crohn", ""),
        ("PETER CROHN", ""),
        ("CT Crohn Peter rechts", "CT rechts"),
        ("Thomas Hand", ""),
        ("mrs hand", ""),
        ("CT Knie mrs hand, Fraktur", "CT Knie Fraktur"),
        ("CT ABDOMEN DR HAND", "CT ABDOMEN"),
        ("CT knee dr hand", "CT knee"),
        ("Dr hand knee", "knee"),
        ("Frau Klein Abdomen", "Abdomen"),
        ("frau klein abdomen", "abdomen"),
        ("dhr de groot ct", "ct"),
        ("mw klein mri", "mri"),
        ("knie, 1016 gv amsterdam", "knie"),
        ("knie afdeling b4", "knie"),
        ("patient mr brown, ct knee", "ct knee"),
    ],
)
def test_a_surname_or_region_beside_a_given_name_an_initial_or_a_title_is_a_person(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "DR HAND AP",
        "DR FOOT",
        "CT DR CHEST",
        "MR FOOT",
        "mr knee",
        "dr hand",
        "Fallot T 4",
        "Views T CT",
        "Type B CT",
        "Lown A",
        "Neck CT",
        "Morbus Crohn CT",
        "Spine C CT",
    ],
)
def test_the_same_words_stay_where_nothing_makes_them_a_person(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("V.a. Perthes glarfig", "V.a. Perthes"),
        ("Knie: Perthes glarfig, Erguss", "Knie: Perthes Erguss"),
        ("MRT Brown glarfig", "MRT Brown"),
        ("Perthes Glarf", ""),
        ("perthes glarf", ""),
        ("keine Fraktur glarfig", ""),
    ],
)
def test_an_unknown_word_in_lower_case_takes_no_finding_along(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize("text", ["Patient murphy", "Dr. de groot", "peter murphy", "anna lang", "D6W VA3W", "H8.5.5"])
def test_surnames_in_lower_case_and_short_forms_go(text: str) -> None:
    assert clean_text(text) == ""


@pytest.mark.parametrize(("text", "left"), [("T12 8TH Rippe für Höhle", "T12 8TH Rippe"), ("B33 8TH ü", "")])
def test_a_postcode_is_told_from_a_rib_whatever_letters_stand_beside(text: str, left: str) -> None:
    assert clean_text(text) == left


SURNAMES_IN_SMALL = ("rumpf", "foley", "breit", "dell", "kerley", "graves", "stein", "klein", "ringer", "brown")


def test_a_surname_in_small_letters_goes_behind_what_tells_a_person() -> None:
    frames = (
        *("Dr. {}", "Dr {}", "dr {}", "Dr. de {}", "Dr. van der {}", "prof. {}", "Prof. Dr. {}", "mr {}", "Mr. {}"),
        *(
            "mrs {}",
            "Mrs {}",
            "Ms {}",
            "herr {}",
            "Herr {}",
            "Herr von {}",
            "frau {}",
            "Frau {}",
            "Mme {}",
            "mme de {}",
        ),
        *("sr {}", "Sra. {}", "sig. {}", "Sig.ra {}", "mevr {}", "Mevr. van {}", "dott. {}", "dhr {}"),
        *("Peter {}", "peter {}", "Anna {}", "{}, anna", "{} peter", "Dr. Peter {}"),
        *("Patient {}", "patient {}", "pt {}", "Patient: {}", "pt: {}", "Patientin {}", "paziente: {}", "name: {}"),
        *("Radiologist: {}", "radiologist {}", "Überweiser: {}", "requested by {}", "seen by {}", "mother {}"),
    )
    texts = [
        (text, name)
        for frame in frames
        for name in SURNAMES_IN_SMALL
        for text in (frame.format(name), f"CT Thorax, {frame.format(name)}", f"{frame.format(name)}, CT Thorax")
    ]
    stay = [text for text, name in texts if name in clean_text(text)]
    assert not stay


def test_what_stands_behind_a_surname_in_small_letters_stays() -> None:
    table = {
        "dr dell knee": "knee",
        "Patient foley CT abdomen": "CT abdomen",
        "patient foley seen today": "seen today",
        "dr dell requested ct": "requested ct",
        "Dr. de rumpf requested contrast": "requested contrast",
        "Dr. crohn CT": "CT",
    }
    assert {text: clean_text(text) for text in table} == table


def test_words_that_only_look_like_a_surname_behind_a_title_or_cue_stay() -> None:
    texts = (
        *("Patient prone", "Patient supine", "patient moved", "pt unable to hold breath", "patient left lateral"),
        *(
            "Patient: prone",
            "patient: supine, feet first",
            "Patient foley catheter",
            "14 fr foley",
            "7 Fr foley catheter",
        ),
        *(
            "mr knee",
            "dr hand",
            "mr lt knee",
            "dr rt hand",
            "MR knee li",
            "mr neue Sequenz",
            "mr abdomen",
            "ct by mr fusion",
        ),
        *("patient has a foley catheter", "patient hat Schmerzen", "Patient weiter Dyspnoe"),
        *("TE 30 ms neue Sequenz", "Parkinson disease", "cancer de lingua", "stenosi alta", "per via orale"),
    )
    assert [text for text in texts if clean_text(text) != text] == []


def test_an_acronym_in_capitals_goes_as_a_surname_beside_an_initial_or_behind_whose_study_it_is() -> None:
    table = {
        "M. NASH": "",
        "J.M. NASH": "",
        "M. NASH CT Abdomen": "CT Abdomen",
        "CT Abdomen, NASH J.": "CT Abdomen",
        "NASH, J., CT Abdomen": "CT Abdomen",
        "scan of NASH": "scan",
        "CT of NASH, portal phase": "CT portal phase",
    }
    assert {text: clean_text(text) for text in table} == table
    texts = (
        *(
            "NASH",
            "NASH cirrhosis",
            "known NASH",
            "r/o NASH",
            "history of NASH",
            "CT of NASH cirrhosis",
            "MRI of OA knee",
        ),
        *("R. FAI", "FAI L.", "V.a. NASH", "Z.n. PRES", "PAU, L. femoral", "M. Parkinson", "NEN G2"),
    )
    assert [text for text in texts if clean_text(text) != text] == []


def test_an_extension_goes_with_the_name_behind_it_and_the_value_of_diffusion_stays() -> None:
    table = {
        "DW 120 Müller": "",
        "MR DW 120 Müller": "MR",
        "DW 120, Müller": "",
        "DW 120 Dr. Hand, Knie": "Knie",
        "DW 120": "DW 120",
        "MR DW 120 Kopf": "MR DW 120 Kopf",
    }
    assert {text: clean_text(text) for text in table} == table


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT chest, nurse Brown called", "CT chest, nurse called"),
        ("Interpreter Brown", "Interpreter"),
        ("Surgeon WHITE", "Surgeon"),
        ("fellow Gray", "fellow"),
        ("GP Long, CT chest", "GP CT chest"),
        ("Ref Phys: Stone", ""),
        ("Contact: Brown", "Contact"),
        ("CT Thorax, OA Winter", "CT Thorax"),
        ("Einweiser: Sommer", ""),
        ("befundet: Winter", "befundet"),
        ("TC torax, Fdo: Blanco", "TC torax"),
    ],
)
def test_a_surname_that_is_a_word_goes_behind_a_word_for_a_person(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Findings discussed with Brown at 14:00", "Findings discussed"),
        ("Findings discussed with Gray by phone", "Findings discussed with by phone"),
        ("under care of Brown", "under care"),
        ("patient of Stone", ""),
        ("SPOKE WITH BROWN", ""),
        ("FINDINGS DISCUSSED WITH BROWN AT 14:00", "FINDINGS DISCUSSED"),
        ("reviewed with Brown about the nodule", "reviewed with about the nodule"),
        ("CT KNIE, BESPROCHEN MIT WINTER", "CT KNIE, BESPROCHEN"),
        ("telefonisch an Winter", ""),
        ("CT chest, reported by Page", "CT chest, reported"),
        ("Seen by Day.", ""),
        ("CT Knie, gesehen von Mai", "CT Knie, gesehen"),
        ("referred by Ball for CT", "for CT"),
    ],
)
def test_a_surname_that_is_a_word_goes_behind_a_deed(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("J Brown CT chest", "CT chest"),
        ("CT chest P. Gray", "CT chest"),
        ("CT Abdomen, S White", "CT Abdomen"),
        ("J. Page", ""),
        ("J. BROWN", ""),
        ("Dr. A. Mai, CT Thorax", "CT Thorax"),
        ("Dr. med. Mai", ""),
        ("Frau Dr med Mai", ""),
        ("Anna Page CT chest", "CT chest"),
        ("JOHN DAY CT CHEST", "CT CHEST"),
        ("Mary Page (mother)", "(mother)"),
    ],
)
def test_a_surname_that_is_a_word_goes_with_an_initial_degree_or_given_name_before_it(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "surgeon requested thin slices",
        "nurse at bedside",
        "OA knee",
        "OA Knie",
        "contact precautions",
        "seen with contrast",
        "SEEN WITH CONTRAST",
        "SEEN WITH CONTRAST IN THE LIVER",
        "about the nodule",
        "Mass seen with Sharp margins",
        "reviewed by side",
        "T Long axis",
        "L Hand",
        "V. Cava",
        "R White matter",
        "Patient Comment",
        "A. Vertebralis",
        "M. Soleus",
        "N. Medianus",
        "Segment V Leber",
    ],
)
def test_a_word_of_imaging_beside_such_a_word_stays(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "paciente grave en UCI",
        "paziente alto e obeso",
        "Patient alt und gebrechlich",
        "Bei V.a. Fraktur",
        "bucket handle tear of the meniscus",
        "Stein im Ureter",
        "Krebs der Lunge, Nagel in situ",
        "Col du fémur, fosse iliaque",
        "Costa fracturada, lobo medio",
    ],
)
def test_words_that_are_surnames_stay_where_they_say_how_a_patient_is_or_a_phrase_goes_on(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "paciente Grave",
        "PACIENTE GRAVE",
        "Herr Stein im CT",
        "Van der Steen in de CT",
        "Tan W.M.",
        "Costa, Maria",
        "handle: mk_31",
    ],
)
def test_surnames_that_are_words_go_beside_a_person_all_the_same(text: str) -> None:
    assert not {"grave", "stein", "steen", "tan", "costa", "mk"} & set(
        clean_text(text).lower().replace("_", " ").split()
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Carotid artery doppler Maria Quaresma", "Carotid artery doppler"),
        ("Carotid artery Doppler Maria", "Carotid artery"),
        ("Peter Crohn CT", "CT"),
        ("peter crohn", ""),
    ],
)
def test_a_technique_in_lower_case_in_front_of_a_given_name_stays(text: str, left: str) -> None:
    assert clean_text(text) == left
