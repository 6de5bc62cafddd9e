"""Pictures of burned-in text: which instances are shown, what a picture shows, and that the same input gives the same bytes."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import factories
from phi_deid_pipeline.pictures.choose import frames_of, kinds_of, shown_kinds, spread
from phi_deid_pipeline.pictures.draw import Drawer, readers_of
from phi_deid_pipeline.pictures.render import (
    OVERLAY_COLOUR,
    PICTURE_SIDE,
    THUMB_SIDE,
    Outline,
    render_frames,
    sized,
    with_outlines,
)
from phi_deid_pipeline.pictures.states import COLOURS, HIDDEN, KEPT, REVIEW, PictureSettings, state_of
from phi_deid_pipeline.records import (
    Box,
    DeidRecord,
    Finding,
    InstanceEntry,
    InstanceFindings,
    Picture,
    Region,
    SeriesEntry,
    SeriesPictures,
    Status,
    Verdict,
)

NAME = Box(4, 4, 60, 14)
SCALE = Box(200, 70, 40, 12)


def finding(
    box: Box = NAME, verdict: Verdict = Verdict.IDENTIFYING, *, frame: int = 0, text: str = "", **more
) -> Finding:
    hide = more.pop("hide", verdict in (Verdict.IDENTIFYING, Verdict.UNKNOWN))
    plane, category = more.pop("plane", "pixels"), more.pop("category", "")
    return Finding(frame, box, plane, text or verdict.value, 0.9, verdict, category, "a reason", hide, f"{box.x:012x}")


def seen(*findings: Finding, uid: str = "1.2.3", path: str = "a", **more) -> InstanceFindings:
    status, frames = more.pop("status", "read"), more.pop("frames", 1)
    return InstanceFindings(uid, path, status, more.pop("detail", ""), frames, frames, ("ppocr",), findings, **more)


def record(uid: str = "1.2.3", path: str = "a", **more) -> DeidRecord:
    base = {
        "input_path": path, "input_checksum": "", "sop_class_uid": "", "modality": "OT", "old_study_uid": "1", "old_series_uid": "2",
        "old_sop_uid": uid, "study_uid": "2.25.1", "series_uid": "2.25.2", "sop_uid": f"2.25.{uid}", "patient": "P",
        "status": Status.RELEASED, "reason": "", "detail": "", "staged_path": path, "checksum": "", "transfer_syntax_uid": "",
        "source_transfer_syntax_uid": "", "pixel_data": "redacted", "pixel_sha256": "",
    }  # fmt: skip
    return DeidRecord(**base | more)


def series_of(paths: list[str]) -> SeriesEntry:
    entries = tuple(
        InstanceEntry(path, 1, "", "p000001", "1", "2", f"1.2.{n}", "", "", "OT", 96, 256, 1, True)
        for n, path in enumerate(paths)
    )
    return SeriesEntry("p000001", "1", "2", entries)


# --- choice ---------------------------------------------------------------------------------------------------------


def test_first_and_odd_ones_are_told_apart_and_the_rest_is_counted() -> None:
    moved = replace(NAME, x=5)
    found = [
        seen(finding()),
        seen(finding(moved, text="read otherwise")),
        seen(finding(), finding(SCALE, Verdict.BENIGN)),
        seen(finding(replace(NAME, y=60))),
        seen(finding()),
        seen(finding(verdict=Verdict.BENIGN)),
        seen(),
    ]
    kinds, rest = kinds_of(found, [record() for _ in found])
    assert [(kind.first, kind.members) for kind in kinds] == [(0, [1, 4]), (2, []), (3, []), (5, [])]
    assert rest == 0


def test_instances_that_ended_differently_are_not_alike() -> None:
    found = [seen(finding()), seen(finding())]
    held = record(status=Status.HELD, reason="text_left", hold=("text_left",))
    assert len(kinds_of(found, [record(), held])[0]) == 2


def test_text_kept_in_instances_alike_is_remembered() -> None:
    found = [seen(finding(SCALE, Verdict.BENIGN, text=text)) for text in ("10 cm", "MAY", "10 cm")]
    (kind,), _ = kinds_of(found, [record() for _ in found])
    assert (kind.members, list(kind.kept)) == ([1, 2], ["MAY"])


def test_what_needs_a_person_is_shown_before_what_does_not() -> None:
    found = [seen(finding(Box(0, 20 * n, 50, 12))) for n in range(4)]
    found.append(seen(finding(Box(0, 90, 50, 12), Verdict.UNKNOWN, hide=False)))
    records = [record() for _ in found]
    kinds, _ = kinds_of(found, records)
    assert len(kinds) == 5
    assert [kind.first for kind in shown_kinds(kinds, found, records, 3)] == [0, 1, 4]
    assert [kind.first for kind in shown_kinds(kinds, found, records, 9)] == [0, 1, 2, 3, 4]


def test_frames_are_those_that_show_the_findings() -> None:
    many = seen(
        finding(frame=7, verdict=Verdict.NOT_TEXT), *(finding(frame=n) for n in (3, 9, 9, 12, 40)),
        finding(frame=44, verdict=Verdict.UNKNOWN, hide=False), frames=50,
    )  # fmt: skip
    assert frames_of(many) == [3, 9, 44]
    assert frames_of(seen(finding(frame=1, verdict=Verdict.NOT_TEXT), frames=2)) == []


@pytest.mark.parametrize(
    ("count", "wanted", "first", "expected"),
    [(3, 8, [], [0, 1, 2]), (100, 3, [], [0, 50, 99]), (100, 4, [7, 9], [0, 7, 9, 99]), (10, 2, [3, 4, 5], [3, 4])],
    ids=["all", "even", "with first", "too many first"],
)
def test_thumbnails_are_spread_over_a_series(count: int, wanted: int, first: list[int], expected: list[int]) -> None:
    assert spread(count, wanted, first) == expected


@pytest.mark.parametrize(
    ("verdict", "hide", "state"),
    [
        (Verdict.IDENTIFYING, True, HIDDEN), (Verdict.NOT_TEXT, True, HIDDEN), (Verdict.BENIGN, False, KEPT),
        (Verdict.UNKNOWN, False, REVIEW), (Verdict.IDENTIFYING, False, REVIEW), (Verdict.NOT_TEXT, False, "ignored"),
    ],
    ids=lambda value: str(value),
)  # fmt: skip
def test_state_says_what_became_of_a_finding(verdict: Verdict, hide: bool, state: str) -> None:
    assert state_of(finding(verdict=verdict, hide=hide)) == state


# --- rendering ------------------------------------------------------------------------------------------------------


def grey(values: np.ndarray, **more):
    ds = factories.ct_instance(WindowCenter=None, WindowWidth=None)
    ds.Rows, ds.Columns = values.shape[-2:]
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    ds.PixelData = values.astype("<i2" if values.dtype.kind == "i" else "<u2").tobytes()
    if values.ndim == 3:
        ds.NumberOfFrames = len(values)
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_grey_pictures_show_bright_what_a_viewer_shows_bright(tmp_path: Path, photometric: str, dtype: type) -> None:
    values = np.linspace(100, 900, 64 * 64).reshape(64, 64).astype(dtype)
    values = values - 600 if dtype is np.int16 else values
    path = factories.write(grey(values, PhotometricInterpretation=photometric), tmp_path / "a.dcm")
    picture = render_frames(path, [0])[0].picture
    assert picture.shape == (64, 64, 3)
    up = int(picture[-1, -1, 0]) > int(picture[0, 0, 0])
    assert up is (photometric == "MONOCHROME2")


def test_result_is_shown_with_the_window_of_the_original(tmp_path: Path) -> None:
    values = np.linspace(0, 1000, 64 * 64).reshape(64, 64).astype(np.uint16)
    before = factories.write(grey(values), tmp_path / "a.dcm")
    filled = values.copy()
    filled[32:] = 0  # percentiles of its own would show the rest brighter
    after = factories.write(grey(filled), tmp_path / "b.dcm")
    original = render_frames(before, [0])
    result = render_frames(after, [0], original)
    assert np.array_equal(original[0].picture[:32], result[0].picture[:32])
    assert not result[0].picture[32:].any()


def test_frame_asked_for_is_the_one_shown(tmp_path: Path) -> None:
    values = np.full((5, 64, 64), 100, np.uint16)
    values[3, :, 32:] = 900
    path = factories.write(grey(values), tmp_path / "a.dcm")
    pictures = render_frames(path, [1, 3])
    assert sorted(pictures) == [1, 3]
    assert pictures[3].picture[0, 60, 0] == 255 and len(np.unique(pictures[1].picture)) == 1


def test_overlay_is_painted_where_it_lies(tmp_path: Path) -> None:
    ds = grey(np.full((64, 64), 100, np.uint16))
    plane = np.zeros((8, 16), np.uint8)
    plane[2, 4] = 1
    ds.add_new(0x60000010, "US", 8)
    ds.add_new(0x60000011, "US", 16)
    ds.add_new(0x60000050, "SS", [11, 21])
    ds.add_new(0x60000040, "CS", "G")
    ds.add_new(0x60000100, "US", 1)
    ds.add_new(0x60000102, "US", 0)
    ds.add_new(0x60003000, "OW", np.packbits(plane, bitorder="little").tobytes())
    picture = render_frames(factories.write(ds, tmp_path / "a.dcm"), [0])[0].picture
    painted = np.argwhere((picture == OVERLAY_COLOUR).all(axis=2))
    assert painted.tolist() == [[10 + 2, 20 + 4]]


def test_picture_keeps_its_shape_and_box_surrounds_what_it_holds() -> None:
    picture = np.zeros((400, 1600, 3), np.uint8)
    picture[100:140, 400:480] = 255
    image, scale = sized(picture, PICTURE_SIDE)
    assert image.size == (640, 160) and scale == 0.4
    drawn = np.asarray(with_outlines(image, scale, [Outline(Box(400, 100, 80, 40), COLOURS[HIDDEN], "1")]))
    assert (drawn[45, 165] == 255).all()  # what the box holds is not covered
    assert tuple(drawn[39, 170]) == COLOURS[HIDDEN] and tuple(drawn[45, 159]) == COLOURS[HIDDEN]
    assert sized(np.zeros((16, 16, 3), np.uint8), PICTURE_SIDE)[0].size == (64, 64)


# --- a series -------------------------------------------------------------------------------------------------------


def drawn(
    folder: Path, found: list[InstanceFindings], records: list[DeidRecord], **settings
) -> tuple[SeriesPictures, dict[str, bytes]]:
    kept: dict[str, bytes] = {}
    readers = {("1.2.0", "IM0", 0, "pixels", NAME, "identifying"): "ppocr"}
    drawer = Drawer(folder / "in", folder / "out", PictureSettings(**settings), readers, kept.__setitem__)
    return drawer.draw(series_of([row.path for row in found]), found, records), kept


@pytest.fixture
def three(tmp_path: Path) -> tuple[Path, list[InstanceFindings], list[DeidRecord]]:
    for n in range(3):
        factories.write(factories.rgb_instance(("ZIMMERLIN",), number=n + 1), tmp_path / "in" / f"IM{n}")
        factories.write(factories.rgb_instance((), number=n + 1), tmp_path / "out" / f"IM{n}")
    found = [
        seen(finding(), finding(SCALE, Verdict.BENIGN), uid="1.2.0", path="IM0"),
        seen(finding(), finding(SCALE, Verdict.BENIGN), uid="1.2.1", path="IM1"),
        seen(finding(replace(NAME, y=50)), uid="1.2.2", path="IM2"),
    ]
    boxes = ((-1, Box(3, 3, 62, 16)), (-1, Box(0, 0, 256, 30)))
    return tmp_path, found, [record(row.sop_uid, row.path, boxes=boxes) for row in found]


def opened(kept: dict[str, bytes], picture: Picture | None) -> Image.Image:
    assert picture is not None
    image = Image.open(io.BytesIO(kept[picture.name]))
    assert image.size == (picture.width, picture.height) and image.mode == "RGB"
    return image


def test_series_shows_original_boxes_and_result_with_what_was_read(three) -> None:
    folder, found, records = three
    series, kept = drawn(folder, found, records)
    assert (series.instances, series.with_findings, series.findings) == (3, 3, {HIDDEN: 3, KEPT: 2})
    assert [(row.position, row.alike) for row in series.rows] == [(1, 1), (3, 0)]
    first = series.rows[0]
    assert [(m.number, m.state, m.text, m.reader) for m in first.marks] == [
        (1, HIDDEN, "identifying", "ppocr"),
        (2, KEPT, "benign", ""),
    ]
    assert first.further_boxes == 1
    original, boxes, result = (np.asarray(opened(kept, p), int) for p in (first.original, first.boxes, first.result))
    text = np.s_[10:40, 12:150]  # as enlarged
    assert original[text].max() > 200 and result[text].max() < 100
    red = np.abs(boxes - COLOURS[HIDDEN]).max(axis=2) < 60
    green = np.abs(boxes - COLOURS[KEPT]).max(axis=2) < 60
    assert red[:60, :170].sum() > 200 and green[150:].sum() > 100 and not green[:60].any()
    assert all(opened(kept, mark.crop).height >= 40 for mark in first.marks)
    assert [thumb.position for thumb in series.thumbnails] == [1, 2, 3]
    assert all(max(opened(kept, thumb.picture).size) == THUMB_SIDE for thumb in series.thumbnails)


def test_same_input_gives_the_same_bytes_under_the_same_names(three) -> None:
    one, other = drawn(*three), drawn(*three)
    assert one == other
    assert all(len(name) == len("0" * 24 + ".jpg") for name in one[1])


def test_text_kept_by_its_verdict_but_filled_for_another_frame_is_shown_as_hidden(three) -> None:
    folder, found, records = three
    covered = replace(records[0], boxes=(*records[0].boxes, (-1, Box(190, 60, 60, 30))))
    series, kept = drawn(folder, found, [covered, *records[1:]])
    assert [(mark.state, mark.reason) for mark in series.rows[0].marks] == [
        (HIDDEN, "a reason"),
        (HIDDEN, "a reason; filled all the same"),
    ]
    boxes = np.asarray(opened(kept, series.rows[0].boxes), int)
    assert not (np.abs(boxes - COLOURS[KEPT]).max(axis=2) < 60).any()
    assert KEPT not in series.thumbnails[0].states


def test_limits_hold_and_what_is_left_out_is_counted(three) -> None:
    series, _ = drawn(*three, pictures_per_series=1, thumbnails_per_series=2)
    assert (len(series.rows), series.not_shown, len(series.thumbnails)) == (1, 1, 2)


def test_what_was_not_written_is_a_row_without_result(three) -> None:
    folder, found, records = three
    gone = replace(records[0], staged_path="", status=Status.REJECTED, reason="pixels_not_editable")
    series, _ = drawn(folder, found, [gone, *records[1:]])
    row = series.rows[0]
    assert row.original and row.boxes and row.result is None
    assert row.note == "No result: pixels not editable."
    assert [thumb.position for thumb in series.thumbnails] == [2, 3]


def test_what_cannot_be_decoded_is_a_row_without_picture_and_with_its_reason(three) -> None:
    folder, found, records = three
    (folder / "in" / "IM0").write_bytes((folder / "in" / "IM0").read_bytes()[:-40_000])
    series, _ = drawn(folder, found, records)
    assert series.rows[0].original is None and series.rows[0].note.startswith("Original: ")
    assert series.rows[0].result is not None


def test_what_was_not_looked_at_is_told_once_a_reason(three) -> None:
    folder, found, records = three
    unread = [seen(uid=row.sop_uid, path=row.path, status="undecodable", detail="video") for row in found[:2]]
    series, _ = drawn(folder, [*unread, found[2]], [replace(r, staged_path="") for r in records[:2]] + records[2:])
    assert [(u.position, u.status, u.detail, u.count) for u in series.unread] == [(1, "undecodable", "video", 2)]
    assert [row.position for row in series.rows] == [3]


def test_reader_is_found_by_place_and_text() -> None:
    region = Region(0, NAME, "A", 0.9, 0.9, "tesseract")
    assert readers_of([("1.2", "a", [region])]) == {("1.2", "a", 0, "pixels", NAME, "A"): "tesseract"}
