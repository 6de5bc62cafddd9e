"""Write han_forms.txt from Unicode's table of variants of ideographs (see README.md).

Usage: python resources/han_forms/generate.py Unihan_Variants.txt [OUTPUT_FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

OUTPUT = Path(__file__).parent / "han_forms.txt"
FIELDS = frozenset({"kSimplifiedVariant", "kTraditionalVariant"})
# Forms of names in Japan beside the older ones; Unicode's table does not join them.
JAPANESE = """
    沢澤 辺邊 邉邊 斎齋 斉齊 桜櫻 広廣 浜濱 濵濱 徳德 恵惠 実實 黒黑 竜龍 髙高 﨑崎 眞真 関關 渋澁 滝瀧
    栄榮 塩鹽 亀龜 鉄鐵 豊豐 円圓 応應 桧檜 条條 穂穗 巌巖 剣劍 蔵藏 静靜 曽曾 礼禮 弥彌 万萬 伝傳 蛍螢
    郷鄉 緑綠 薫薰 嶋島 冨富 峯峰 聡聰 総總 斌彬 暁曉 栃橡 検檢 歩步 毎每 渓溪 満滿 瀬瀨 焼燒 発發 県縣
    稲稻 絵繪 継繼 覚覺 誉譽 読讀 転轉 遥遙 随隨 顔顏 駅驛 鶏鷄 黄黃 涼凉 温溫 顕顯 騒騷 髪髮 戸戶 彦彥
    呉吳 歳歲 産產 痩瘦 禄祿 録錄 縁緣 荘莊 装裝 証證 辞辭
"""
BASIC_PLANE = 0xFFFF


def classes(table: str) -> list[str]:
    """Return characters that are forms of one another, sorted, the lowest that is a simplified form of others first."""
    pairs: list[tuple[str, str]] = []
    simple: set[str] = set()
    for line in table.splitlines():
        parts = line.split("\t")
        if len(parts) == 3 and parts[1] in FIELDS:
            one = _char(parts[0])
            others = [_char(code.partition("<")[0]) for code in parts[2].split()]
            pairs += [(one, other) for other in others]
            simple |= set(others) if parts[1] == "kSimplifiedVariant" else {one}
    pairs += [(pair[0], pair[1]) for pair in JAPANESE.split()]
    pairs = [(a, b) for a, b in pairs if a != b and ord(a) <= BASIC_PLANE and ord(b) <= BASIC_PLANE]
    group = {char: {char} for pair in pairs for char in pair}
    for one, other in pairs:
        if group[one] is not group[other]:
            group[one] |= group[other]
            for char in group[other]:
                group[char] = group[one]
    found = {id(chars): chars for chars in group.values()}.values()
    return sorted("".join(sorted(chars, key=lambda char: (char not in simple, char))) for chars in found)


def _char(code: str) -> str:
    return chr(int(code.removeprefix("U+"), 16))


def main(table: Path, output: Path) -> None:
    output.write_text("".join(f"{chars}\n" for chars in classes(table.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else OUTPUT)
