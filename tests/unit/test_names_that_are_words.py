"""Names that are words of imaging or deny: where text shows that they are names they go, else they keep what they say."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.free_text import drop_identifiers
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_needles import Needles
from text_cleaning import NOBODY, clean_text


def _lexicon(name: str) -> Lexicon:
    return Lexicon([Entry(Category.NAME, name)])


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Ca^Ni", "Patient Ca CT Thorax", "CT Thorax"),
        ("Ca^Ni", "CT chest Ca", "CT chest"),
        ("Ca^Ni", "Ca, CT chest", "CT chest"),
        ("Ca^Ni", "CA, CT CHEST", "CT CHEST"),
        ("Ca^Ni", "NI^CT CHEST", "CT CHEST"),
        ("Ca^Ni", "CT chest for CA", "CT chest"),
        ("Ca^Ni", "seen by Ni", ""),
        ("Ca^Ni", "CT_Ca_chest", "CT chest"),
        ("No^Ha", "Mr. No: no fracture", "no fracture"),
        ("No^Ha", "H. No CT chest", "CT chest"),
        ("No^Ha", "No H. CT chest", "CT chest"),
        ("No^Ha", "CT chest, patient No", "CT chest"),
        ("No^Ha", "No CT chest", "CT chest"),
        ("Do^Minh", "Do CT Thorax", "CT Thorax"),
        ("Ng^Michael", "CT chest, M. Ng", "CT chest"),
    ],
)
def test_part_of_a_name_of_two_letters_goes_where_it_is_written_as_one(name: str, text: str, left: str) -> None:
    assert clean_text(text, _lexicon(name)) == left


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("No^Ha", "No fracture, no effusion"),
        ("No^Ha", "No acute CT findings"),
        ("No^Ha", "Prior: No CT"),
        ("No^Ha", "Patient No contrast"),
        ("No^Ha", "Series No 4"),
        ("Ca^Ni", "Bronchial-Ca rechts"),
        ("Ca^Ni", "CT CHEST CA 19-9"),
        ("Ca^Ni", "ca 5 mm"),
        ("Ne^Ngoc", "ne pas injecter"),
        ("de la Cruz^Ana", "Coupe De Profil"),
    ],
)
def test_where_it_may_say_something_else_it_stays(name: str, text: str) -> None:
    assert clean_text(text, _lexicon(name)) == text


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("No^Ha", "H. No", True),
        ("Ng^Michael", "Ng, M.", True),
        ("Ng^Michael", "ng mild", False),
        ("Ca^Ni", "ca, n", True),
    ],
)
def test_verification_finds_an_initial_beside_two_letters_and_the_engine_removes_it(
    name: str, text: str, form: bool
) -> None:
    needles = Needles(_lexicon(name).entries, frozenset())
    assert bool(list(needles.hits(text))) is form
    assert (drop_identifiers(text, _lexicon(name)) != text) is form


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Mai^Anna", "Mai CT Thorax, kein Erguss", "CT Thorax, kein Erguss"),
        ("Mai^Anna", "MAI CT ABD", "CT ABD"),
        ("Mai^Anna", "CT Thorax Mai", "CT Thorax"),
        ("Mai^Anna", "Torace: mai fratture", "Torace"),
        ("Mai^Anna", "Mai fratture", ""),
        ("Sin^Wai", "Sin CT abdomen", "CT abdomen"),
        ("Sin^Wai", "TC abdomen Sin contraste", "TC abdomen"),
        ("Nie^Eva", "Nie operiert", ""),
        ("Niet^Jan", "Niet MRI knie", "MRI knie"),
        ("Niet^Jan", "contrast Niet gegeven", ""),
    ],
)
def test_name_that_denies_takes_along_what_it_would_deny_and_no_words_of_the_study(
    name: str, text: str, left: str
) -> None:
    assert clean_text(text, _lexicon(name)) == left


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Dr. Tan",
            "Dr Tan",
            "Tan, Mei",
            "Tan Wei Ming",
            "TAN WEI MING",
            "TAN, WEI MING",
            "Mrs Hay",
            "Mr Mai",
            "Frau Nie",
        ),
        *(
            "Herr Frei",
            "Herr Frei, Thomas",
            "Prof. Dr. Nie",
            "Dr. med. Frei",
            "Sig. Mai",
            "Sig.ra Nie",
            "Mme Mai",
            "M. Ang",
        ),
        *("Tan S.", "S. Tan", "W.M. Tan", "Tan W.M.", "Mai Linh", "Nguyen Mai", "Mai, Anna", "Hay, Joan", "Rim, Yusuf"),
    ],
)
def test_surname_of_a_stranger_that_is_a_word_goes_beside_what_shows_it(name: str) -> None:
    for text in (f"{name} CT Thorax", f"{name}, CT Thorax", f"CT Thorax, {name}"):
        left = clean_text(text)
        assert left == "CT Thorax", text


@pytest.mark.parametrize(
    "text",
    ["Radiologist: Tang", "Überweiser: Frei", "Name: Mai", "Operator: Tan", "Patient: Hay, Joan", "Radiologe: Rim"],
)
def test_surname_behind_a_label_goes(text: str) -> None:
    assert clean_text(f"CT Thorax, {text}").removesuffix(" Radiologe").strip(", ") == "CT Thorax"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Patient: Nie operiert",
            "Mai visto prima",
            "Nie Kontrastmittel erhalten",
            "Rim enhancement",
            "Nada relevante",
        ),
        *("RT TANG", "tang beam", "CT by MR fusion", "Scan S1", "Turbo FLASH"),
    ],
)
def test_the_same_words_stay_where_nothing_shows_a_name(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    "name", ["Mr. Nie", "Frau Mai", "Prof. Dr. Nie", "Dr. med. Frei", "Herr Frei, Thomas", "Mrs Hay"]
)
def test_title_and_such_a_name_leave_kept_text(name: str) -> None:
    assert drop_identifiers(f"Protocol {name}", NOBODY).replace("Prof.", "").strip() == "Protocol"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT Thorax, Drs. Hay and Tang", "CT Thorax"),
        ("frau mai ct thorax", "ct thorax"),
        ("CT Thorax, Mai, MD", "CT Thorax"),
        ("CT Thorax, Tang/MTRA", "CT Thorax"),
        ("Lung discussed with Tang.", "Lung discussed"),
        ("vu avec Mai; thorax", "thorax"),
        ("MR with Dixon", "MR with Dixon"),
        ("seen with Dixon fat saturation", "seen with Dixon fat saturation"),
        ("CT chest and abdomen", "CT chest and abdomen"),
    ],
)
def test_further_contexts_that_show_a_surname(text: str, left: str) -> None:
    assert clean_text(text) == left


def test_initials_of_every_part_with_points_are_a_signature() -> None:
    lexicon = _lexicon("García-Márquez^Íñigo")
    for text in ("I.G.M. thorax", "G.M.I. thorax", "I. G. M. thorax", "I.G. thorax"):
        assert clean_text(text, lexicon) == "thorax"


@pytest.mark.parametrize(
    "text",
    [
        *("12 Fr sheath", "7 Fr Pigtail catheter", "Fr. 8 catheter", "Stone R. kidney", "the hundred images"),
        *("Haemorrhage and oedema", "oesophagus", "Schaedel nativ", "selon protocole"),
    ],
)
def test_gauges_sides_and_spellings_are_no_names(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("patient of Ng; stress", "patient of ; stress"),
        ("Wu Q. lumbar", " Q. lumbar"),
        ("(Wu) knee", "() knee"),
        ("SW WU 2.1 NG", "SW WU 2.1 NG"),
        ("ng/ml, Wu-3, X-Wu", "ng/ml, Wu-3, X-Wu"),
    ],
)
def test_two_letters_that_are_no_word_leave_kept_text_where_written_as_a_name(text: str, left: str) -> None:
    lexicon = _lexicon("Wu^Lin") | Lexicon([Entry(Category.PERSON, "Ng^Ka Ho")])
    assert drop_identifiers(text, lexicon) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ginocchio destro Sig. Rossi", "ginocchio destro"),
        ("CT Thorax, Tan, Dr.", "CT Thorax"),
        ("CT Thorax, Rossi destro", "CT Thorax"),
    ],
)
def test_word_before_a_title_is_no_part_of_the_name_behind_it(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT knee, checked: AB", "CT knee, checked"),
        ("CT knee, checked: AD", "CT knee, checked"),
        ("CT knee read: AB", "CT knee read"),
        ("CT knee reviewed by (AB)", "CT knee reviewed"),
        ("CT knee, radiologist (AB)", "CT knee"),
        ("CT knee tech. (AB)", "CT knee tech"),
        ("CT Knie MTRA (AB)", "CT Knie"),
        ("CT knee radiographer AB", "CT knee radiographer"),
        ("CT knee, surgeon A.B.", "CT knee, surgeon"),
        ("CT knee, radiologist AB, lateral", "CT knee lateral"),
        ("CT Knie, geprüft: AB", "CT Knie"),
        ("CT knie, gecontroleerd: AB", "CT knie"),
        ("CT genou, relu: AB", "CT genou"),
    ],
)
def test_initials_behind_a_word_for_what_somebody_did_go(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "knee (LAT)",
        "CT knee (AP)",
        "RT: LAT",
        "RT: AP",
        "checked: CT",
        "planned: AP",
        "read: NEG",
        "approved: NO",
        "physician (US)",
        "surgeon CT knee",
        "surgeon AP view",
        "SURGEON LAT",
        "checked AB",
        "surgeon OR",
        "planned: LV",
        "planned: RT",
        "performed: CTA",
        "verified: PTV",
    ],
)
def test_view_side_and_modality_behind_such_a_word_stay(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT right knee", "CT right knee"),
        ("Right kidney, left kidney", "Right kidney, left kidney"),
        ("Right: normal, left: cyst", "Right: normal, left: cyst"),
        ("CT CHEST RIGHT", "CT CHEST RIGHT"),
        ("CT knee Right, Sue", "CT knee"),
        ("CT knee SUE RIGHT", "CT knee"),
        ("Mrs. Right CT right knee", "CT right knee"),
        ("S. Right CT knee", "CT knee"),
        ("CT knee for Right", "CT knee"),
        ("RIGHT^CT knee", "CT knee"),
        ("Right, CT knee", "CT knee"),
    ],
)
def test_name_that_is_a_side_goes_where_text_shows_a_name(text: str, left: str) -> None:
    lexicon = _lexicon("Right^Sue")
    assert clean_text(text, lexicon) == left
    assert not list(Needles(lexicon.entries, frozenset()).hits(left))


def test_name_of_a_region_goes_and_one_that_denies_takes_what_it_denies_along() -> None:
    assert clean_text("CT Kopf links", _lexicon("Kopf^Anna")) == "CT links"
    assert clean_text("CT Kopf rechts", _lexicon("Rechts^Anna")) == "CT Kopf rechts"
    assert clean_text("Biopsy neg, CT chest", _lexicon("Neg^Paul")) == "CT chest"
