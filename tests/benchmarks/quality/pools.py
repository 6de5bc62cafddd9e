"""Invented names and places in two disjoint pools: one for seeds used while developing, one for seeds reported."""

from __future__ import annotations

from dataclasses import dataclass

REPORTED_FROM = 1000  # seeds from here on draw from the pool that is never looked at while developing


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True, slots=True)
class Pool:
    """Names of one pool; `foreign` maps a key of CHARSETS to (family, given) written in that script."""

    families: tuple[str, ...]
    givens: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]
    institutions: tuple[str, ...]
    departments: tuple[str, ...]
    domains: tuple[str, ...]
    foreign: dict[str, tuple[str, str]]


# key -> (Specific Character Set, codec that writes its bytes)
CHARSETS: dict[str, tuple[str, str]] = {
    "latin1": ("ISO_IR 100", "latin-1"),
    "latin2": ("ISO_IR 101", "iso8859-2"),
    "latin3": ("ISO_IR 109", "iso8859-3"),
    "latin4": ("ISO_IR 110", "iso8859-4"),
    "latin5": ("ISO_IR 148", "iso8859-9"),
    "cyrillic": ("ISO_IR 144", "iso8859-5"),
    "greek": ("ISO_IR 126", "iso8859-7"),
    "arabic": ("ISO_IR 127", "iso8859-6"),
    "hebrew": ("ISO_IR 138", "iso8859-8"),
    "thai": ("ISO_IR 166", "tis_620"),
    "japanese": ("\\ISO 2022 IR 87", "iso2022_jp"),
    "japanese_x0201": ("ISO 2022 IR 13\\ISO 2022 IR 87", "shift_jis"),
    "korean": ("\\ISO 2022 IR 149", "euc_kr"),
    "chinese_2022": ("\\ISO 2022 IR 58", "gb2312"),
    "gb18030": ("GB18030", "gb18030"),
    "gbk": ("GBK", "gbk"),
    "utf8": ("ISO_IR 192", "utf-8"),
    "latin2_2022": ("\\ISO 2022 IR 101", "iso8859-2"),
    "cyrillic_2022": ("\\ISO 2022 IR 144", "iso8859-5"),
    "greek_2022": ("\\ISO 2022 IR 126", "iso8859-7"),
}

DEVELOPMENT = Pool(
    families=_words(
        "Abernathy Balogun Castellanos Dragomirov Eklundh Fitzwilliam Ghorbani Hathersage Ivanenko Jankowski Kaczmarek "
        "Lindholm Mbekwe Nakashima Oyelaran Pemberton Quaresma Rasmussen Szymanski Tolliver Uchenna Valdivieso "
        "Wickramasinghe Xanthopoulos Yarborough Zubrzycki Achterberg Bronkhorst Chaudhari Delacroix Etxeberria "
        "Feuerstein Gruenewald Hofstetter Iyer Juhasz Kirkegaard Lombardozzi Mihajlovic Nordqvist Ostrowski Pfaffenberger "
        "Quintanilla Ravichandran Sauvageot Trinkhaus Ulvestad Vanhoutte Wojciechowski Yamanouchi Zambrano Ahlgren "
        "Borowiecki Cavalcanti Dimitriadis Engelbrecht Fonseca Gundersen Hendricksen Ibarrola"
    ),
    givens=_words(
        "Nicholas Agnieszka Bartholomew Clementine Desmond Evangeline Florian Gwendolyn Hieronymus Isolde Jeremiah Katarzyna "
        "Leopold Marguerite Nathaniel Ophelia Przemyslaw Rosalind Siegfried Theodora Ulrike Valentina Wilhelmina Xiomara "
        "Yevgeny Zacharias Adalbert Birgitta Cornelius Dorothea Ezekiel Fredericka"
    ),
    streets=_words(
        "Hollybush Larkspur Wetherby Kastanien Quentin Rosenthal Bellefontaine Marchmont Pilgrim Thornfield"
    ),
    cities=_words("Ashgrove Kirchdorf Valmontone Beausoleil Brackenridge Oudekerk Torrevega Millhaven Granby Sundal"),
    institutions=(
        "Ashgrove General Hospital",
        "Klinikum Kirchdorf",
        "Ospedale Valmontone",
        "Clinique Beausoleil",
        "Millhaven Infirmary",
        "Hospital Torrevega",
    ),
    departments=("Ward Larkspur", "Station Edelweiss", "Unit Marchmont"),
    domains=("ashgrove-general.example.org", "kirchdorf.example.net", "millhaven.example.com"),
    foreign={
        "latin1": ("Müllerström", "Françoise"),
        "latin2": ("Świątkowski", "Władysław"),
        "latin3": ("Ĉapelisto", "Ĝorĝo"),
        "latin4": ("Šķēliņš", "Ģirts"),
        "latin5": ("Yıldırımoğlu", "Gülşen"),
        "cyrillic": ("Верещагина", "Людмила"),
        "greek": ("Παπαδόπουλος", "Ευάγγελος"),
        "arabic": ("قباني", "لنزار"),
        "hebrew": ("שפירוביץ", "דבורה"),
        "thai": ("เจริญสุข", "สมชาย"),
        "japanese": ("山田原", "太郎丸"),
        "japanese_x0201": ("小笠原", "竜之介"),
        "korean": ("황보진", "길동이"),
        "chinese_2022": ("欧阳明", "小东海"),
        "gb18030": ("司馬懿", "龍騰雲"),
        "gbk": ("诸葛瑾", "伯温良"),
        "utf8": ("Žižkovićová", "Ñandúbay"),
        "latin2_2022": ("Dvořáčková", "Zdeňka"),
        "cyrillic_2022": ("Кржижановский", "Глеб"),
        "greek_2022": ("Αναγνώστου", "Θεοδώρα"),
    },
)

REPORTED = Pool(
    families=_words(
        "Adewale Bergstrom Cunningham Dlamini Espinoza Farrokhzad Gallagher Haverkamp Imanishi Jorgensen Kowalczyk "
        "Lautenschlager Montgomery Nwachukwu Oppenheimer Papatheodorou Quesada Rutherford Sandoval Thibodeaux Umarov "
        "Villanueva Westergaard Ximenes Yellowhorse Zimmermann Armbruster Blankenship Cherkasov Devereaux Esterhuizen "
        "Fairweather Gutierrez Hargreaves Isaksson Jablonski Kristjansson Loughborough Mazurkiewicz Nordenskjold "
        "Okonkwo Prendergast Quinnell Rodriguez Schwarzkopf Tregenza Unterberger Vasquez Whitcombe Ybarrondo Zielinski "
        "Aizawa Bhattacharya Coleridge Donnelly Echeverria Fujiwara Gonsalves Hildebrandt Ingersoll"
    ),
    givens=_words(
        "Alejandro Bronwyn Cassandra Dietrich Esperanza Ferdinand Genevieve Humphrey Ignatius Josephine Konstantin Lavinia "
        "Maximilian Nadezhda Octavian Philippa Quentina Reginald Svetlana Thaddeus Ursuline Veronika Winifred Xanthippe "
        "Yolanda Zebediah Anastasia Benedikt Charlotte Domenico Eleonora Friedrich"
    ),
    streets=_words("Brambling Foxglove Lindenhof Montclair Ravenscar Sycamore Vermeer Wisteria Zuiderzee Clifftop"),
    cities=_words(
        "Eastmere Bruchhausen Montefosco Clairval Northwick Nieuwdorp Villaflor Stonebridge Lydgate Elmsford"
    ),
    institutions=(
        "Eastmere Regional Hospital",
        "Klinik Bruchhausen",
        "Ospedale Montefosco",
        "Hopital Clairval",
        "Stonebridge Infirmary",
        "Hospital Villaflor",
    ),
    departments=("Ward Foxglove", "Station Lindenhof", "Unit Ravenscar"),
    domains=("eastmere-regional.example.org", "bruchhausen.example.net", "stonebridge.example.com"),
    foreign={
        "latin1": ("Åkerblömquist", "Hélène"),
        "latin2": ("Wróblewska", "Małgorzata"),
        "latin3": ("Ŝtonhakilo", "Ĵaŭdino"),
        "latin4": ("Bērziņšķe", "Ņina"),
        "latin5": ("Kılıçdaroğlu", "Çağrı"),
        "cyrillic": ("Заболоцкий", "Владимир"),
        "greek": ("Χατζηγεωργίου", "Δημήτριος"),
        "arabic": ("الخوارزمي", "يوسف"),
        "hebrew": ("גולדשטיין", "רבקה"),
        "thai": ("วงศ์สวัสดิ์", "มาลี"),
        "japanese": ("長谷川", "健太郎"),
        "japanese_x0201": ("久保田", "真由美"),
        "korean": ("선우진", "민정아"),
        "chinese_2022": ("东方红", "建国平"),
        "gb18030": ("歐陽鋒", "鳳儀華"),
        "gbk": ("上官婉", "文静娴"),
        "utf8": ("Høgšťřander", "Łucjaña"),
        "latin2_2022": ("Šťastného", "Květoslav"),
        "cyrillic_2022": ("Шереметьева", "Юлия"),
        "greek_2022": ("Καραμανλής", "Ευτυχία"),
    },
)


def pool_of(seed: int) -> Pool:
    """Return the pool that a seed draws from."""
    return REPORTED if seed >= REPORTED_FROM else DEVELOPMENT
