"""Random instances, made byte by byte, and damaged ones: input for differential and robustness tests. Seeded, no files.

An instance is a tree of nodes (tag, VR, value); it is encoded with as many of the freedoms of PS3.5 as random choice
finds: explicit and implicit VR, big endian, deflated, lengths defined and undefined, values of odd length, UN.
"""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom.charset import encode_string, python_encoding
from pydicom.datadict import DicomDictionary

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG, DEFLATED, JPEG = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
TEXT = frozenset({"LO", "SH", "ST", "LT", "UT", "UC", "PN"})
NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
    "1.2.840.10008.5.1.4.1.1.481.3",  # RT Structure Set
    "1.2.3.4.5",  # none that anybody knows
)
CHARSETS = ("", "ISO_IR 100", "ISO_IR 192", "ISO_IR 101", "ISO_IR 144", "GB18030", "\\ISO 2022 IR 87", "ISO_IR 13")
LETTERS = {
    "": "",
    "ISO_IR 100": "äöüéß",
    "ISO_IR 192": "äß中文и한",
    "ISO_IR 101": "łśćő",
    "ISO_IR 144": "Джук",
    "GB18030": "中文王",
    "\\ISO 2022 IR 87": "山田太郎",
    "ISO_IR 13": "ﾔﾏﾀﾞ",
}
WORDS = tuple(
    re.split(
        r"\s+",
        """CT Thorax axial 1.5 mm contrast chest liver follow-up of Quixotte Marvin from Dr Alonso Hospital seen on
        20190314 03/14/2019 study ACC4711 phone +49 170 1234567 MRN777123 T1 FLAIR head neck kernel B30f left""",
    )
)
# Attributes that may not be there without others of them.
TOGETHER = ((0x00100033, "LO"), (0x00100034, "LO"), (0x00100035, "CS"), (0x00102297, "PN"), (0x00102298, "CS"))
SR_CODES = (("121008", "DCM", "PNAME"), ("121106", "DCM", "TEXT"), ("121110", "DCM", "TEXT"), ("111018", "DCM", "DATE"))
CONTENT_VALUES = {"TEXT": 0x0040A160, "PNAME": 0x0040A123, "DATE": 0x0040A121, "UIDREF": 0x0040A124, "NUM": 0x0040A300}
# Where content items stand outside of a report's own sequence, and what their numbers may be called.
CONTENT_PLACES = (0x00400440, 0x00400441, 0x00400555, 0x00400612, 0x0040B020, 0x00440013, 0x00741212)
NUMBER_CONCEPTS = (
    ("121033", "DCM", "Subject Age"),
    ("30525-0", "LN", "Age"),
    ("A1", "99L", "Patient age"),
    ("P1", "99L", "Patient number"),
    ("V1", "99L", "Volume"),
)
# The encoding itself, what the reading of others depends on, and identity: set by hand or left out.
_NOT_RANDOM = frozenset({0x00080005, 0x00080016, 0x00080018, 0x00080001, 0x00420011, 0x00420012})
_TAGS = {
    vr: sorted(
        tag
        for tag, entry in DicomDictionary.items()
        if entry[0] == vr and 8 <= tag >> 16 < 0x7FE0 and tag not in _NOT_RANDOM
    )
    for vr in sorted({entry[0] for entry in DicomDictionary.values() if len(entry[0]) == 2})
}


@dataclass
class Node:
    """An element: `value` is bytes, numbers, or for SQ a list of items."""

    tag: int
    vr: str
    value: bytes | tuple[float, ...] | list[list[Node]]
    written: str = ""  # VR in the bytes where it is another: UN


ODD_DATES = (
    b"20240229",
    b"19700101",
    b"99991231",
    b"20230229",
    b"201903",
    b"20190314-0500",
    b"2019.03.14",
    b"19050101",
)


class Maker:
    """Draws one instance; `concepts` are (code, scheme, value type) that a policy has rules for.

    `private` are private attributes that a policy may keep: group, offset in the block, creator, VR.
    """

    def __init__(
        self,
        rng: random.Random,
        concepts: Sequence[tuple[str, str, str]] = SR_CODES,
        private: Sequence[tuple[int, int, str, str]] = (),
    ) -> None:
        self.rng, self.concepts, self.private = rng, concepts, private
        self.syntax = rng.choice((EXPLICIT, EXPLICIT, IMPLICIT, BIG, DEFLATED, JPEG))
        self.charset = rng.choice(CHARSETS)
        self.little, self.explicit = self.syntax != BIG, self.syntax != IMPLICIT

    # ------------------------------------------------------------------ contents

    def instance(self) -> bytes:
        nodes = {node.tag: node for node in self.nodes(self.rng.randint(5, 60), 0, self.charset)}
        for tag, vr, value in (
            (0x00080005, "CS", self.charset.encode()),
            (0x00080016, "UI", self.rng.choice(SOP_CLASSES).encode()),
            (0x00080018, "UI", self.uid()),
            (0x00100010, "PN", self.text("PN", self.charset)),
            (0x00100020, "LO", b"MRN777123"),
            (0x0020000D, "UI", self.uid()),
            (0x0020000E, "UI", self.uid()),
        ):
            nodes[tag] = Node(tag, vr, value)
        if not self.charset:
            del nodes[0x00080005]
        if self.rng.random() < 0.4:
            nodes[0x0040A730] = Node(0x0040A730, "SQ", self.content_items(0))
        if self.rng.random() < 0.3:
            place = self.rng.choice(CONTENT_PLACES)
            nodes[place] = Node(place, "SQ", self.content_items(2))
        body = self.encoded(nodes.values()) + self.pixels()
        if self.syntax == DEFLATED:
            engine = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
            body = engine.compress(body) + engine.flush()
        return header(self.syntax) + body

    def nodes(self, count: int, depth: int, charset: str) -> list[Node]:
        found = {}
        for _ in range(count):
            vr = self.rng.choice(sorted(_TAGS))
            if vr == "SQ" and (depth > 3 or self.rng.random() < 0.3):
                continue
            tag = self.rng.choice(_TAGS[vr])
            found[tag] = self.node(tag, vr, depth, charset)
        if self.rng.random() < 0.1:
            pairs = self.rng.sample(TOGETHER, self.rng.randint(1, 4))
            found |= {tag: self.node(tag, vr, depth, charset) for tag, vr in pairs}
        if self.rng.random() < 0.1:
            offset = self.rng.choice((b"+0530", b"-1200 ", b"+1500", b"QUIXOTTE", b"20190314", b""))
            found[0x00080201] = Node(0x00080201, "SH", offset)
        if self.rng.random() < 0.3:
            found |= {node.tag: node for node in self.private_block(depth, charset)}
        if self.private and self.explicit and self.rng.random() < 0.3:
            found |= {node.tag: node for node in self.known_private_block(depth, charset)}
        if self.rng.random() < 0.1 and found:
            group = self.rng.choice(sorted(found)) & 0xFFFF0000
            found[group] = Node(group, "UL", (self.rng.randrange(1000),))
        return list(found.values())

    def node(self, tag: int, vr: str, depth: int, charset: str) -> Node:
        if vr == "SQ":
            node = Node(tag, vr, [self.item(depth, charset) for _ in range(self.rng.choice((0, 1, 1, 2)))])
        else:
            node = Node(tag, vr, self.value(vr, charset))
        if self.explicit and self.little and self.rng.random() < 0.06:
            node.written = "UN"
        return node

    def item(self, depth: int, charset: str) -> list[Node]:
        nodes = []
        if self.rng.random() < 0.1:
            charset = self.rng.choice(CHARSETS[1:])
            nodes = [Node(0x00080005, "CS", charset.encode())]
        return nodes + self.nodes(self.rng.randint(0, 6), depth + 1, charset)

    def private_block(self, depth: int, charset: str) -> list[Node]:
        group, block = self.rng.choice((0x0009, 0x0019, 0x0029, 0x2001, 0x7053)), self.rng.randint(0x10, 0xFF)
        nodes = [Node(group << 16 | block, "LO", self.rng.choice((b"QUIXOTTE CO", b"SIEMENS CSA HEADER", b"")))]
        for offset in self.rng.sample(range(256), self.rng.randint(0, 4)):
            vr = self.rng.choice(("LO", "DS", "US", "OB", "UN", "SQ", "DA"))
            if vr == "SQ" and (depth > 3 or not self.explicit):
                vr = "LO"
            nodes.append(self.node(group << 16 | block << 8 | offset, vr, depth, charset))
        return nodes

    def known_private_block(self, depth: int, charset: str) -> list[Node]:
        """Return a block with attributes of one creator that the policy knows, among others that nobody knows."""
        group, _, creator, _ = self.rng.choice(self.private)
        block = self.rng.randint(0x10, 0xFF)
        known = [row for row in self.private if row[0] == group and row[2] == creator]
        nodes = {offset: self.value_node(group, block, offset, vr, charset) for _, offset, _, vr in known[:6]}
        nodes[0xEE] = self.value_node(group, block, 0xEE, "LO", charset)
        return [Node(group << 16 | block, "LO", creator.encode()), *nodes.values()]

    def value_node(self, group: int, block: int, offset: int, vr: str, charset: str) -> Node:
        return Node(group << 16 | block << 8 | offset, vr, [] if vr == "SQ" else self.value(vr, charset))

    def content_items(self, depth: int) -> list[list[Node]]:
        return [self.content_item(depth) for _ in range(self.rng.randint(1, 4))]

    def content_item(self, depth: int) -> list[Node]:
        if self.rng.random() < 0.3:
            return self.number_item()
        code, scheme, value_type = self.rng.choice(self.concepts)
        if self.rng.random() < 0.3:
            code = "99999"
        if self.rng.random() < 0.2:
            value_type = self.rng.choice(sorted(CONTENT_VALUES))
        concept = [Node(0x00080100, "SH", code.encode()), Node(0x00080102, "SH", scheme.encode())]
        if code == "99999" and self.rng.random() < 0.5:
            concept[1] = Node(0x00080102, "SH", b"99LOCAL")
            concept.append(Node(0x00080104, "LO", self.value("LO", self.charset)))
        nodes = [
            Node(0x0040A010, "CS", b"CONTAINS"),
            Node(0x0040A040, "CS", value_type.encode()),
            Node(0x0040A043, "SQ", [concept] if self.rng.random() < 0.95 else []),
        ]
        if value_type in CONTENT_VALUES and self.rng.random() < 0.9:
            tag = CONTENT_VALUES[value_type]
            vr = DicomDictionary[tag][0]
            nodes.append(Node(tag, vr, [] if vr == "SQ" else self.value(vr, self.charset)))
        if depth < 3 and self.rng.random() < 0.4:
            nodes.append(Node(0x0040A730, "SQ", self.content_items(depth + 1)))
        return nodes

    def number_item(self) -> list[Node]:
        """Return a content item with a number, in it or in its measured value, in one form or in several."""
        rng = self.rng
        code, scheme, meaning = rng.choice(NUMBER_CONCEPTS)
        concept = [
            Node(tag, vr, text.encode())
            for tag, vr, text in ((0x00080100, "SH", code), (0x00080102, "SH", scheme), (0x00080104, "LO", meaning))
        ]
        whole = rng.choice((0, 45, 90, 97, 1200, 24415, 34000, 4471920))
        unit = [Node(0x00080100, "SH", rng.choice((b"a", b"mo", b"d", b"1", b"cm")))]
        number = [
            Node(0x004008EA, "SQ", [unit] if rng.random() < 0.9 else []),
            Node(0x0040A30A, "DS", rng.choice((str(whole), f"{whole}.0", f"{whole}.5", "1e3")).encode()),
        ]
        if rng.random() < 0.4:
            number.append(Node(0x0040A161, "FD", (rng.choice((float(whole), whole + 0.25)),)))
        if rng.random() < 0.3:
            number += [Node(0x0040A162, "SL", (whole * 2,)), Node(0x0040A163, "UL", (rng.choice((1, 2)),))]
        nodes = [Node(0x0040A043, "SQ", [concept])]
        if rng.random() < 0.8:
            nodes.append(Node(0x0040A040, "CS", rng.choice((b"NUM", b"NUMERIC", b"TEXT"))))
        return nodes + (number if rng.random() < 0.5 else [Node(0x0040A300, "SQ", [number])])

    # ------------------------------------------------------------------ values

    def uid(self) -> bytes:
        return f"1.2.826.0.1.{self.rng.randrange(10**12)}.{self.rng.randrange(100)}".encode()

    def text(self, vr: str, charset: str) -> bytes:
        words = self.rng.choices(WORDS, k=self.rng.randint(1, 8))
        letters = LETTERS[charset]
        if letters and self.rng.random() < 0.5:
            words.insert(self.rng.randrange(len(words)), "".join(self.rng.choices(letters, k=3)))
        if vr == "PN":
            return encoded_text("^".join(words[:3]), charset)
        return encoded_text(" ".join(words)[: 16 if vr == "SH" else 60], charset)

    def value(self, vr: str, charset: str) -> bytes | tuple[float, ...]:
        rng = self.rng
        if rng.random() < 0.1:
            return b"" if vr not in NUMBERS else ()
        if vr in NUMBERS:
            whole = rng.choice((0, 1, rng.randrange(100)))
            return (whole,) * rng.choice((1, 1, 2, 3))
        if vr in TEXT:
            parts = [self.text(vr, charset)]
            if vr in ("LO", "SH", "UC") and rng.random() < 0.3:
                parts.append(self.text(vr, charset))
            return b"\\".join(parts)
        many = rng.choice((1, 1, 1, 2))
        plain: dict[str, Callable[[], bytes]] = {
            "AE": lambda: rng.choice((b"STATION1", b"QUIXOTTE", b"PACS")),
            "AS": lambda: f"{rng.randrange(110):03d}{rng.choice('YMWD')}".encode(),
            "CS": lambda: rng.choice((b"ORIGINAL", b"AXIAL", b"Mixed case", b"QUIXOTTE", b"YES", b"Marvin-1")),
            "DA": lambda: rng.choice((b"20190314", b"19000101", b"2019.03.14", b"19570101", *ODD_DATES)),
            "DS": lambda: rng.choice((b"1.5", b"-0", b"3", b"1e3", b"20190314")),
            "DT": lambda: rng.choice((b"20190314120000", b"2019", b"20190314120000.5+0100", *ODD_DATES)),
            "IS": lambda: str(rng.randrange(-5, 5000)).encode(),
            "TM": lambda: rng.choice((b"120000", b"0930", b"235959.123456")),
            "UI": lambda: rng.choice((self.uid(), b"1.2.840.10008.5.1.4.1.1.2", b"1.2.3")),
        }
        if vr == "UR":
            return rng.choice((b"https://example.org/a?b=1", b"mailto:marvin@quixotte.example"))
        if vr == "AT":
            return struct.pack("<HH" if self.little else ">HH", 0x0010, 0x0010)
        if vr in plain:
            return b"\\".join(plain[vr]() for _ in range(many))
        return rng.randbytes(8 * many)  # OB, OW, OF, OD, OL, OV, UN

    def pixels(self) -> bytes:
        if self.syntax != JPEG:
            return b"" if self.rng.random() < 0.5 else self.encoded([Node(0x7FE00010, "OW", self.rng.randbytes(32))])
        frame = b"\xff\xd8" + self.rng.randbytes(12) + b"\xff\xd9"
        items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame
        return (
            struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        )

    # ------------------------------------------------------------------ bytes

    def encoded(self, nodes: Sequence[Node] | object) -> bytes:
        return b"".join(
            self.element(node, self.explicit, self.little)
            for node in sorted(nodes, key=lambda n: n.tag)  # type: ignore[call-overload]
        )

    def element(self, node: Node, explicit: bool, little: bool) -> bytes:
        unknown = explicit and node.written == "UN"
        inside_explicit = explicit and not unknown
        undefined = False
        if isinstance(node.value, list):
            undefined = self.rng.random() < 0.4
            content = b"".join(self.item_bytes(item, inside_explicit, little) for item in node.value)
            if undefined:
                content += tag_bytes(0xFFFEE0DD, little) + bytes(4)
        elif isinstance(node.value, tuple):
            order = "<" if little else ">"
            content = struct.pack(f"{order}{len(node.value)}{NUMBERS[node.vr]}", *node.value)
        else:
            content = node.value
            if len(content) % 2 and self.rng.random() < 0.85:
                content += b"\0" if node.vr in ("UI", "OB", "UN") else b" "
        length = 0xFFFFFFFF if undefined else len(content)
        return head_bytes(node.tag, "UN" if unknown else node.vr, length, explicit, little) + content

    def item_bytes(self, nodes: list[Node], explicit: bool, little: bool) -> bytes:
        ordered = sorted({node.tag: node for node in nodes}.values(), key=lambda n: n.tag)
        content = b"".join(self.element(node, explicit, little) for node in ordered)
        undefined = self.rng.random() < 0.4
        length = 0xFFFFFFFF if undefined else len(content)
        end = tag_bytes(0xFFFEE00D, little) + bytes(4) if undefined else b""
        return tag_bytes(0xFFFEE000, little) + struct.pack("<I" if little else ">I", length) + content + end


def tag_bytes(tag: int, little: bool) -> bytes:
    return struct.pack("<HH" if little else ">HH", tag >> 16, tag & 0xFFFF)


def head_bytes(tag: int, vr: str, length: int, explicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    if not explicit:
        return tag_bytes(tag, little) + struct.pack(order + "I", length)
    if vr in LONG:
        return tag_bytes(tag, little) + vr.encode() + bytes(2) + struct.pack(order + "I", length)
    return tag_bytes(tag, little) + vr.encode() + struct.pack(order + "H", length)


def encoded_text(text: str, charset: str) -> bytes:
    encodings = [python_encoding[term] for term in charset.split("\\")]
    if len(encodings) == 1:
        return text.encode(encodings[0])
    return encode_string(text, encodings)


def header(syntax: str) -> bytes:
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = head_bytes(0x00020010, "UI", len(value), True, True) + value
    return bytes(128) + b"DICM" + head_bytes(0x00020000, "UL", 4, True, True) + struct.pack("<I", len(meta)) + meta


def fuzzed_instance(
    seed: int,
    concepts: Sequence[tuple[str, str, str]] = SR_CODES,
    private: Sequence[tuple[int, int, str, str]] = (),
) -> bytes:
    """Return the bytes of one random instance; the same for the same seed, concepts and private attributes."""
    return Maker(random.Random(seed), concepts, private).instance()


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return an instance with bytes flipped, cut out, doubled or set to a wrong length, or its end cut off."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(132, max(133, min(len(out), 6000)))
        kind = rng.randrange(6)
        if kind == 0:
            out[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del out[at : at + rng.randint(1, 40)]
        elif kind == 2:
            out[at:at] = out[at : at + rng.randint(1, 200)]
        elif kind == 3:
            out[at : at + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f", b"\xfe\xff\x00\xe0"))
        elif kind == 4:
            out[at : at + 2] = rng.choice((b"UN", b"SQ", b"OB", b"LO", b"ZZ", b"\0\0"))
        else:
            del out[max(133, len(out) - rng.randint(1, len(out))) :]
    return bytes(out)
