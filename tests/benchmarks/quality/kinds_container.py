"""Kinds of places outside plain attributes: preamble, file meta, padding, overlays, curves, icons, compressed streams."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
from pydicom import uid as sop
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from benchmarks.quality.plants import Context, Kind, tag

ANY = ("ct", "mr", "pt", "us", "dx", "cr", "nm", "sc")
SYNTAXES = {
    "implicit": sop.ImplicitVRLittleEndian,
    "explicit": sop.ExplicitVRLittleEndian,
    "big_endian": sop.ExplicitVRBigEndian,
    "deflated": sop.DeflatedExplicitVRLittleEndian,
    "rle": sop.RLELossless,
    "jpeg": sop.JPEGBaseline8Bit,
    "jpeg_lossless": sop.JPEGLosslessSV1,
    "jpeg_ls": sop.JPEGLSLossless,
    "jpeg2000": sop.JPEG2000Lossless,
}


def container_kinds() -> list[Kind]:
    """Return kinds of the container, of overlays and icons, of codestreams, and a text in each transfer syntax."""
    found = [
        Kind("container/preamble", _preamble, ANY),
        Kind("container/meta_implementation_version", _meta("ImplementationVersionName"), ANY, alone="a"),
        Kind("container/meta_source_ae", _meta("SourceApplicationEntityTitle"), ANY, alone="a"),
        Kind("container/meta_sending_ae", _meta("SendingApplicationEntityTitle"), ANY, alone="a"),
        Kind("container/meta_receiving_ae", _meta("ReceivingApplicationEntityTitle"), ANY, alone="a"),
        Kind("container/meta_private_information", _meta_private, ANY),
        Kind("container/trailing_padding", _padding, ANY, alone="end"),
        Kind("container/bytes_after_data_set", _after, ANY, alone="end"),
        Kind("overlay/data", _overlay("data"), ANY, alone="overlay"),
        Kind("overlay/label", _overlay("label"), ANY, alone="overlay"),
        Kind("overlay/description", _overlay("description"), ANY, alone="overlay"),
        Kind("overlay/group_601E", _overlay("label", 0x601E), ANY, alone="overlay"),
        Kind("overlay/comments", _overlay("comments"), ANY, alone="overlay"),
        Kind("curve/data", _curve(0x5000), ANY),
        Kind("curve/label_501E", _curve(0x501E), ANY),
        Kind("icon/pixel_data", _icon(False), ANY, alone="icon"),
        Kind("icon/private_inside", _icon(True), ANY, alone="icon"),
        Kind("jpeg/comment", _jpeg(b"\xfe"), ("sc",), alone="syntax"),
        *[Kind(f"jpeg/app{n:x}", _jpeg(bytes([0xE0 + n])), ("sc",), alone="syntax") for n in (1, 2, 12, 13)],
        Kind("jpeg/after_eoi", _jpeg(b""), ("sc",), alone="syntax"),
        Kind("jpeg2000/comment", _jpeg2000, ("sc",), alone="syntax"),
        Kind("pixel/unused_fragment_padding", _native_tail, ("sc",), alone="syntax"),
    ]
    for name, syntax in SYNTAXES.items():
        bases = ("sc",) if sop.UID(syntax).is_encapsulated else ("ct", "sc", "cr")
        found.append(Kind(f"syntax/{name}", _syntax(name, syntax), bases, (tag("ImageComments"),), alone="syntax"))
    return found


def _preamble(ctx: Context) -> None:
    text = f"{ctx.who.name.given} {ctx.who.name.family} {ctx.who.patient_id}"
    ctx.ds.preamble = text.encode("latin-1", "replace").ljust(128, b"\0")
    ctx.plant("container/preamble", ("preamble",), (ctx.who.name.family, ctx.who.patient_id), nature="whole")


def _meta(keyword: str):
    def make(ctx: Context) -> None:
        value = f"{ctx.who.name.family.upper()}{ctx.draw.digits(4)}"[:16]
        setattr(ctx.ds.file_meta, keyword, value)
        ctx.plant(_META_KIND[keyword], (tag(keyword),), value, nature="whole")

    return make


_META_KIND = {
    "ImplementationVersionName": "container/meta_implementation_version",
    "SourceApplicationEntityTitle": "container/meta_source_ae",
    "SendingApplicationEntityTitle": "container/meta_sending_ae",
    "ReceivingApplicationEntityTitle": "container/meta_receiving_ae",
}


def _meta_private(ctx: Context) -> None:
    ctx.ds.file_meta.PrivateInformationCreatorUID = ctx.draw.uid()
    ctx.ds.file_meta.PrivateInformation = f"for {ctx.who.name.family}".encode("latin-1", "replace").ljust(40)
    ctx.plant("container/meta_private_information", (0x00020102,), ctx.who.name.family, nature="whole")


def _padding(ctx: Context) -> None:
    data = f"{ctx.who.name.family} {ctx.who.patient_id}".encode("latin-1", "replace").ljust(40)
    ctx.ds.add_new(0xFFFCFFFC, "OB", data)
    ctx.plant("container/trailing_padding", (0xFFFCFFFC,), (ctx.who.name.family, ctx.who.patient_id), nature="whole")


def _after(ctx: Context) -> None:
    # Zeros first: readers stop there. It is the bytes of the output that are searched.
    tail = f"{ctx.who.name.family} {ctx.who.accession}".encode("latin-1", "replace").ljust(40)
    ctx.ds.add_new(0xFFFCFFFC, "OB", b"\0\0")
    ctx.after.append(lambda data: data + tail)
    ctx.plant("container/bytes_after_data_set", ("end",), (ctx.who.name.family, ctx.who.accession), nature="whole")


def _overlay(part: str, group: int = 0x6000):
    def make(ctx: Context) -> None:
        ds, base = ctx.ds, group << 16
        rows = columns = 24
        ds.add_new(base | 0x0010, "US", rows)
        ds.add_new(base | 0x0011, "US", columns)
        ds.add_new(base | 0x0040, "CS", "G")
        ds.add_new(base | 0x0050, "SS", [1, 1])
        ds.add_new(base | 0x0100, "US", 1)
        ds.add_new(base | 0x0102, "US", 0)
        name = ctx.who.name.family
        data = bytes(72)
        if part == "data":
            data = name.encode("latin-1", "replace")[:40].ljust(72, b"\0")
        ds.add_new(base | 0x3000, "OB", data)
        kind = "overlay/group_601E" if group != 0x6000 else f"overlay/{part}"
        element = {"data": 0x3000, "label": 0x1500, "description": 0x0022, "comments": 0x4000}[part]
        if part != "data":
            ds.add_new(base | element, "LT" if part == "comments" else "LO", f"Drawn for {name}")
        ctx.plant(kind, (base | element,), name, nature="whole")

    return make


def _curve(group: int):
    def make(ctx: Context) -> None:
        base, name = group << 16, ctx.who.name.family
        ctx.ds.add_new(base | 0x0005, "US", 1)
        if group == 0x5000:
            ctx.ds.add_new(base | 0x3000, "OB", name.encode("latin-1", "replace").ljust(40))
            ctx.plant("curve/data", (base | 0x3000,), name, nature="whole")
        else:
            ctx.ds.add_new(base | 0x2500, "LO", f"Trace {name}")
            ctx.plant("curve/label_501E", (base | 0x2500,), name, nature="whole")

    return make


def _icon(private: bool):
    def make(ctx: Context) -> None:
        icon, name = Dataset(), ctx.who.name.family
        icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
        icon.Rows = icon.Columns = 16
        icon.BitsAllocated = icon.BitsStored = 8
        icon.HighBit, icon.PixelRepresentation = 7, 0
        data = b"" if private else name.encode("latin-1", "replace")
        icon.add_new(0x7FE00010, "OB", data.ljust(256, b"\0"))
        path: tuple = (tag("IconImageSequence"), 0, 0x7FE00010)
        if private:
            icon.private_block(0x0029, "QUALITY ICON 01", create=True).add_new(0x01, "LO", name)
            path = (*path[:2], (0x0029, "QUALITY ICON 01", 0x01))
        ctx.ds.IconImageSequence = Sequence([icon])
        ctx.plant("icon/private_inside" if private else "icon/pixel_data", path, name, nature="whole")

    return make


def _picture() -> np.ndarray:
    return np.add.outer(np.arange(32, dtype=np.uint8), np.arange(32, dtype=np.uint8)) * 2


def _encapsulated(ctx: Context, frame: bytes, syntax: str) -> None:
    ds = ctx.ds
    ds.Rows, ds.Columns = 32, 32
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.LossyImageCompression = "01" if syntax == sop.JPEGBaseline8Bit else "00"
    ctx.transfer_syntax, ctx.pixels_kept = syntax, False


def _jpeg(marker: bytes):
    def make(ctx: Context) -> None:
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(_picture()).save(buffer, "JPEG", quality=95)
        stream, text = buffer.getvalue(), f"{ctx.who.name.family} {ctx.who.patient_id}".encode("latin-1", "replace")
        if marker:
            segment = b"\xff" + marker + (len(text) + 2).to_bytes(2, "big") + text
            stream = stream[:2] + segment + stream[2:]
        else:
            stream += text + b"\0" * (len(stream + text) % 2)
        _encapsulated(ctx, stream, sop.JPEGBaseline8Bit)
        name = {b"\xfe": "comment", b"": "after_eoi"}.get(marker, f"app{marker[0] - 0xE0:x}" if marker else "")
        ctx.plant(f"jpeg/{name}", ("pixels",), (ctx.who.name.family, ctx.who.patient_id), nature="whole")

    return make


def _jpeg2000(ctx: Context) -> None:
    stream = bytes(imagecodecs.jpeg2k_encode(_picture(), level=0, codecformat="j2k", reversible=True))
    text = f"{ctx.who.name.family} {ctx.who.patient_id}".encode("latin-1", "replace")
    at = stream.index(b"\xff\x90")  # before the first tile part
    stream = stream[:at] + b"\xff\x64" + (len(text) + 4).to_bytes(2, "big") + b"\0\1" + text + stream[at:]
    _encapsulated(ctx, stream, sop.JPEG2000Lossless)
    ctx.plant("jpeg2000/comment", ("pixels",), (ctx.who.name.family, ctx.who.patient_id), nature="whole")


def _native_tail(ctx: Context) -> None:
    """Put an identifier behind the last RLE segment of a frame."""
    from pydicom.pixels.encoders.base import get_encoder

    ds, picture = ctx.ds, _picture()
    ds.Rows, ds.Columns = 32, 32
    frame = get_encoder(sop.RLELossless).encode(
        picture.tobytes(), rows=32, columns=32, samples_per_pixel=1, bits_allocated=8, bits_stored=8, number_of_frames=1,
        pixel_representation=0, photometric_interpretation="MONOCHROME2",
    )  # fmt: skip
    text = f"{ctx.who.name.family} {ctx.who.patient_id}".encode("latin-1", "replace")
    frame += text + b"\0" * (len(frame + text) % 2)
    _encapsulated(ctx, frame, sop.RLELossless)
    ctx.plant("pixel/unused_fragment_padding", ("pixels",), (ctx.who.name.family, ctx.who.patient_id), nature="whole")


def _syntax(name: str, syntax: str):
    def make(ctx: Context) -> None:
        text = ctx.phrase()
        ctx.ds.ImageComments = f"{text} {ctx.who.name.family}"
        ctx.plant(f"syntax/{name}", (tag("ImageComments"),), ctx.who.name.family, text)
        if not sop.UID(syntax).is_encapsulated:
            ctx.transfer_syntax = syntax
            return
        picture = _picture()
        if syntax == sop.RLELossless:
            ctx.ds.Rows = ctx.ds.Columns = 32
            ctx.ds.PixelData = picture.tobytes()
            ctx.ds.compress(sop.RLELossless, generate_instance_uid=False)
            ctx.transfer_syntax = syntax
            return
        encode = {
            sop.JPEGBaseline8Bit: lambda: imagecodecs.jpeg8_encode(picture, level=95),
            sop.JPEGLosslessSV1: lambda: imagecodecs.ljpeg_encode(picture),
            sop.JPEGLSLossless: lambda: imagecodecs.jpegls_encode(picture),
            sop.JPEG2000Lossless: lambda: imagecodecs.jpeg2k_encode(
                picture, level=0, codecformat="j2k", reversible=True
            ),
        }[syntax]
        _encapsulated(ctx, bytes(encode()), syntax)
        ctx.pixels_kept = True

    return make
