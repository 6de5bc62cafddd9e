"""Makes up what the batches of a large data set leave to the rules over all batches: one study, run once, and its copies."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SLICES, SIDE = 9, 64
PER_STUDY, PER_BATCH = SLICES + 1, 1000  # instances
LINES = (
    "uid_map", "findings", "records", "words", "verification", "links", "metadata", "geometry", "read", "figures",
)  # fmt: skip
# A UID's last digits, and what else tells copies apart: path of the input, opaque patient.
_TOLD = re.compile(rb"(2\.25\.[0-9]{28,40}|1\.3\.6\.1\.4\.1\.99773\.[0-9.]{20,})|study/IM|p000001|b000001")
_DIGITS = 9

# Entry of each rule -> its call below an output; `batches` and `drawn` are lists of batches and of their products.
STEPS = {
    "check_link_geometry": "main(private, batches, private / 'link_geometry.jsonl')",
    "check_links": (
        "main(private, batches, private / 'decisions.csv', private / 'rejected.jsonl', private / 'link_geometry.jsonl',"
        " private / 'salt', private / 'links.jsonl', private / 'statuses.jsonl')"
    ),
    "remake_stacks": "main(private, drawn, {}, True, '', private / 'remade')",
    "assemble_audits": "main(Path(), batches, private / 'policy.json', private / 'salt', 'code', {}, drawn)",
    "gather_figures": (
        "main(private, drawn, Path('audits/ct_prepro/ct_prepro_audit.json'), Path('audits/figures/overview.png'),"
        " Path('audits/figures/stacks'))"
    ),
    "report_pictures": "main(private, batches, private / 'reports' / 'burned_in_text.json')",
    "prune_withdrawn": "main(Path(), batches, private / 'pruned.json', pictures=True)",
}


def program(rule: str) -> list[str]:
    """Return the command that runs the entry of a rule in an output folder."""
    text = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r})\n"
        f"from pathlib import Path\nfrom {rule} import main\nprivate = Path('private')\n"
        "drawn = sorted((private / 'figures').glob('b*.jsonl'))\nbatches = [path.stem for path in drawn]\n"
        f"print({STEPS[rule]})"
    )
    return [sys.executable, "-c", text]


def write_study(folder: Path) -> None:
    """Write the input of the run that is copied: a CT series and the RTSTRUCT that marks it."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]
    from factories import write
    from sample_datasets import ct_volume, structure_set
    from sample_identity import OTTOLINE

    volume = ct_volume(OTTOLINE, SLICES, SIDE, {})
    for number, dataset in enumerate([*volume, structure_set(OTTOLINE, volume)]):
        write(dataset, folder / "study" / f"IM{number}.dcm")


class Copies:
    """Text or bytes of one study from which those of any other are made: same length, UIDs and names of its own."""

    def __init__(self, data: bytes) -> None:
        self.parts: list[bytes] = []
        self.kinds: list[str] = []
        end = 0
        for found in _TOLD.finditer(data):
            uid = found[1]
            start, stop = found.span()
            cut = stop - _DIGITS if uid else start
            self.parts.append(data[end:cut])
            self.kinds.append("digits" if uid else {b"s": "path", b"p": "patient", b"b": "batch"}[found[0][:1]])
            end = stop
        self.parts.append(data[end:])

    def of(self, study: int, batch: int) -> bytes:
        """Return what belongs to a study, counted from 0, of a batch."""
        words = {
            "digits": b"%09d" % study, "path": b"study%d/IM" % study, "patient": b"p%06d" % study, "batch": b"b%06d" % batch,
        }  # fmt: skip
        pieces = [self.parts[0]]
        for kind, part in zip(self.kinds, self.parts[1:], strict=True):
            pieces += words[kind], part
        return b"".join(pieces)


def fill_closing(output: Path, instances: int) -> None:
    """Make of the finished run of one study in `output` one of as many instances, ten a study and 1,000 a batch.

    Pixels, and with them pictures, are those of the one study: of staging the RTSTRUCT is written, slices are not.
    """
    private = output / "private"
    studies, own = instances // PER_STUDY, PER_BATCH // PER_STUDY
    lines = {name: Copies((private / name / "b000001.jsonl").read_bytes()) for name in LINES}
    shown = Copies((private / "pictures" / "b000001" / "series.jsonl").read_bytes())
    manifest = json.loads((private / "manifests" / "b000001.json").read_bytes())
    series = Copies(json.dumps(manifest["series"], separators=(",", ":")).encode()[1:-1])
    names = [Copies(str(path.relative_to(private)).encode()) for path in sorted(private.glob("staging/b*/*/*/*.dcm"))]
    (marking,) = [path for path in private.glob("staging/b*/*/*/*.dcm") if path.parent.name in _rtstruct(private)]
    marked = (Copies(str(marking.relative_to(private)).encode()), Copies(marking.read_bytes()))
    jpegs = {path.name: path.read_bytes() for path in (private / "pictures" / "b000001").glob("*.jpg")}
    (png,) = (private / "figures" / "b000001").rglob("*.png")
    figure, drawing = Copies(str(png.relative_to(private)).encode()), png.read_bytes()
    for name in ("staging", "figures", "pictures"):
        shutil.rmtree(private / name)
    for folder in (*LINES, "pictures"):
        (private / folder).mkdir(exist_ok=True)
    (private / "index.tsv").write_text("batch\tmarked_by\n")
    with (private / "index.tsv").open("a") as index:
        for batch, start in enumerate(range(0, studies, own), 1):
            numbers = range(start, min(start + own, studies))
            index.write(f"b{batch:06d}\t\n")
            for name, copies in lines.items():
                text = b"".join(copies.of(study, batch) for study in numbers)
                (private / name / f"b{batch:06d}.jsonl").write_bytes(text)
            rows = b",".join(series.of(study, batch) for study in numbers)
            head = b'{"batch":"b%06d","series":[' % batch
            (private / "manifests" / f"b{batch:06d}.json").write_bytes(head + rows + b"]}\n")
            place = private / "pictures" / f"b{batch:06d}"
            place.mkdir()
            (place / "series.jsonl").write_bytes(b"".join(shown.of(study, batch) for study in numbers))
            for name, data in jpegs.items():
                (place / name).write_bytes(data)
            _write_files(private, [*names, figure], marked, drawing, numbers, batch)


def _write_files(
    private: Path, names: Sequence[Copies], marked: tuple[Copies, Copies], drawing: bytes, studies: range, batch: int
) -> None:
    """Write the staged files of a batch, empty but for what marks a stack, and links to one figure."""
    one = private / "figures" / "one.png"
    if not one.exists():
        one.parent.mkdir(exist_ok=True)
        one.write_bytes(drawing)
    for study in studies:
        for copies in names:
            path = private / copies.of(study, batch).decode()
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".png":
                path.symlink_to(one.resolve())
            else:
                path.touch()
        (private / marked[0].of(study, batch).decode()).write_bytes(marked[1].of(study, batch))


def _rtstruct(private: Path) -> set[str]:
    rows = [json.loads(line) for line in (private / "records" / "b000001.jsonl").read_bytes().splitlines()]
    return {row["series_uid"] for row in rows if row["modality"] == "RTSTRUCT"}
