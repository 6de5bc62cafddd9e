"""Series of which slices are withheld, measured and drawn anew: what is said holds for what is released."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
from test_stack_products import SEGMENTATION, SETTINGS, made

import gather_figures
import remake_stacks
from audit_stacks import settled_products
from audit_status import FinalStatus
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.errors import DeidError
from phi_deid_pipeline.records import DeidRecord, Status
from record_io import read_jsonl, write_jsonl

FULL_AT = 300  # bytes; all that is made of the stacks here is longer
CONFIG = {"isotropic_ratio": SETTINGS.isotropic_ratio}
BATCH = "b000001"


def record(path: Path, staging: Path) -> DeidRecord:
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    own = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    return DeidRecord(
        "a", "", ds.SOPClassUID, ds.Modality, *own, *own, "P", Status.RELEASED, "", "",
        path.relative_to(staging).as_posix(), "", "", "", "untouched", "",
    )  # fmt: skip


def staged(private: Path) -> list[DeidRecord]:
    """Write a CT series of 20 slices with a SEG in staging, their records, and what the steps make of them."""
    staging = private / "staging" / BATCH
    series, (seg,) = made(staging)
    records = [record(path, staging) for path in (*series.paths.values(), seg.path)]
    write_jsonl(private / "records" / f"{BATCH}.jsonl", records)
    batch = (staging, records)
    for kind, products in (
        ("figures", pipeline.draw_stacks(batch, [batch], CONFIG, private / "figures" / BATCH)),
        ("volumes", pipeline.resample_stacks(batch, [batch], CONFIG, "nii.gz", private / "volumes" / BATCH)),
    ):
        write_jsonl(private / kind / f"{BATCH}.jsonl", products)
    write_jsonl(private / "geometry" / f"{BATCH}.jsonl", pipeline.measure_ct_geometry(staging, records, CONFIG))
    return records


def remake(private: Path, records: list[DeidRecord], held: set[str]) -> list[Path]:
    """Write final statuses with some instances held, and make anew what that asks for; return the lists of products."""
    write_jsonl(
        private / "statuses.jsonl",
        (
            FinalStatus(
                BATCH, one.study_uid, one.series_uid, one.sop_uid,
                Status.HELD if one.sop_uid in held else Status.RELEASED, "", staged_path=one.staged_path,
            )
            for one in sorted(records, key=lambda one: one.sop_uid)
        ),
    )  # fmt: skip
    lists = [private / kind / f"{BATCH}.jsonl" for kind in ("figures", "volumes")]
    remake_stacks.main(private, lists, CONFIG, True, "nii.gz", private / "remade")
    return lists


def test_slices_that_are_withheld_are_missing_in_what_is_said_and_made(tmp_path: Path) -> None:
    records = staged(tmp_path)
    slices = [one.sop_uid for one in records if one.modality == "CT"]
    lists = remake(tmp_path, records, {slices[7], slices[8]})
    (row,) = read_jsonl(tmp_path / "remade" / "geometry.jsonl")
    assert (row["num_slices"], row["is_uniform_spacing"], row["requires_resampling"]) == (18, False, True)
    assert {"missing_slices", "withheld_slices"} <= {*row["flags"]}
    assert any(reason.startswith("2 instance(s) of the series are held") for reason in row["reasons"])
    files: list[Path] = []
    settled = settled_products(tmp_path, lists, lambda _, path, sha256: files.append(path))
    assert settled.as_data() == {"picture": 1, "image": 1, "mask": 2, "left_out": []}
    assert len(files) == 4 and all("remade" in path.parts and path.is_file() for path in files)


def test_withheld_segmentation_leaves_the_figure_of_its_ct_without_it(tmp_path: Path) -> None:
    records = staged(tmp_path)
    lists = remake(tmp_path, records, {one.sop_uid for one in records if one.sop_class_uid == SEGMENTATION})
    assert list(read_jsonl(tmp_path / "remade" / "geometry.jsonl")) == []
    files: list[Path] = []
    counts = settled_products(tmp_path, lists, lambda _, path, sha256: files.append(path)).as_data()
    assert (counts["picture"], counts["image"], counts["mask"], len(counts["left_out"])) == (1, 1, 0, 3)
    (picture,) = (path for path in files if path.suffix == ".png")
    drawn = (tmp_path / "figures" / BATCH).joinpath(*picture.parts[-3:])
    assert picture.read_bytes() != drawn.read_bytes()


@pytest.mark.parametrize("held", [False, True])
def test_nothing_is_made_anew_where_all_or_nothing_is_released(tmp_path: Path, held: bool) -> None:
    records = staged(tmp_path)
    remake(tmp_path, records, {one.sop_uid for one in records} if held else set())
    for name in ("geometry", "figures", "volumes"):
        assert (tmp_path / "remade" / f"{name}.jsonl").read_bytes() == b""
    assert [path for path in (tmp_path / "remade").rglob("*") if path.suffix in (".png", ".gz")] == []


def test_made_anew_is_the_same_as_made_without_the_withheld_slices(tmp_path: Path) -> None:
    records = staged(tmp_path)
    gone = np.random.default_rng(3).choice([one.sop_uid for one in records if one.modality == "CT"], 3, replace=False)
    remake(tmp_path, records, set(gone))
    left = [one for one in records if one.sop_uid not in gone]
    batch = (tmp_path / "staging" / BATCH, left)
    fresh = list(pipeline.draw_stacks(batch, [batch], CONFIG, tmp_path / "fresh"))
    assert list(read_jsonl(tmp_path / "remade" / "figures.jsonl", type(fresh[0]))) == fresh


@contextmanager
def full_disk() -> Iterator[None]:
    """Let every file end at a size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_AT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", ["figures", "nii.gz", "nrrd"])
def test_nothing_that_was_cut_off_stands_under_the_name_of_a_product(tmp_path: Path, kind: str) -> None:
    records, target = staged(tmp_path), tmp_path / "again"
    batch = (tmp_path / "staging" / BATCH, records)
    if kind == "figures":
        products = pipeline.draw_stacks(batch, [batch], CONFIG, target)
    else:
        products = pipeline.resample_stacks(batch, [batch], CONFIG, kind, target)
    with full_disk(), pytest.raises(OSError if kind == "figures" else DeidError, match=r"too large|disk is full"):
        list(products)
    assert [path for path in target.rglob("*") if path.is_file()] == []


def test_figures_are_gathered_whole_or_not_at_all(tmp_path: Path) -> None:
    lists, shown = remake(tmp_path, staged(tmp_path), set()), tmp_path / "shown"
    (tmp_path / "audit.json").write_text(json.dumps({"series": []}))
    (tmp_path / "overview").mkdir()
    with full_disk(), pytest.raises(OSError, match="too large"):
        gather_figures.main(tmp_path, lists, tmp_path / "audit.json", tmp_path / "overview" / "all.png", shown)
    assert [path for folder in (shown, tmp_path / "overview") for path in folder.rglob("*") if path.is_file()] == []
