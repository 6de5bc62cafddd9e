"""What the run did, in counts, and what of CT stacks is left out: no identifier, no path, new UIDs alone."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit_links import link_counts
from audit_stacks import settled_products
from audit_status import FinalStatus
from audit_uids import UidMapCounts
from phi_deid_pipeline.records import RejectedFile, Status, Verdict
from record_io import read_jsonl, write_json_if_changed

SUMMARY_SCHEMA = "summary/4"

# Defined terms of Modality (PS3.3 C.7.3.1.1.1, retired ones included): any other value could be anything, a name too.
_TERMS = """
    ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL IVOCT IVUS
    KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE
    RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA
    XAPROTOCOL XC AS CD CF CP CS DD DF DM DS EC FA FS LP MA MS OPR ST VF"""
_MODALITIES = frozenset(_TERMS.split())


class Tally:
    """Counts that grow while the de-identification audit is made."""

    def __init__(self) -> None:
        self.instances: Counter[str] = Counter()
        self.by_modality: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.rejected: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self.redacted = 0
        self.read_again: Counter[str] = Counter({"frames": 0, "boxes_widened": 0, "left": 0})
        self.decided = 0
        self.found: dict[str, set[str]] = {"patients": set(), "studies": set(), "series": set()}
        self.out: dict[str, set[str]] = {"patients": set(), "studies": set(), "series": set()}
        self._patient: dict[str, str] = {}  # study -> the first of its patients that was met
        self.mixed: set[str] = set()  # studies in which several patients are released
        self._incomplete: set[tuple[str, str]] = set()  # study, series of which an instance is not released

    def add_record(self, record: Mapping[str, Any], final: FinalStatus, patient: str) -> None:
        """Count an instance that was worked on; `patient` is the opaque id, as rejected files carry it too."""
        self._count(record["modality"], final.status)
        again = record["burned_in_text_scan"].get("read_again", {})
        self.read_again.update({key: again.get(key, 0) for key in self.read_again})
        names = {"patients": patient, "studies": final.study_uid, "series": f"{final.study_uid} {final.series_uid}"}
        self._find(names)
        if final.status is Status.RELEASED:
            for kind, name in names.items():
                self.out[kind].add(name)
            if self._patient.setdefault(final.study_uid, patient) != patient:
                self.mixed.add(final.study_uid)
            self.redacted += record["pixel_data"] == "redacted"
            self.decided += final.decision is not None
        else:
            self._incomplete.add((final.study_uid, final.series_uid))
            (self.held if final.status is Status.HELD else self.rejected)[final.reason] += 1

    def add_rejected(self, rejected: RejectedFile, study_uid: str, series_uid: str, *, loss: bool) -> None:
        """Count an input file that the inventory rejected; UIDs are new ones, `loss` if its series lacks it."""
        self.rejected[rejected.reason.value] += 1
        if rejected.is_dicom:
            self._count(rejected.modality, Status.REJECTED)
            series = f"{study_uid} {series_uid}" if series_uid else ""
            self._find({"patients": rejected.patient, "studies": study_uid, "series": series})
        if loss and series_uid:
            self._incomplete.add((study_uid, series_uid))

    def is_incomplete(self, study_uid: str, series_uid: str) -> bool:
        """Tell whether an instance of a series is not released; new UIDs.

        One Series Instance UID may stand in several studies; a rejected file that names no study may be of each of them.
        """
        return bool({(study_uid, series_uid), ("", series_uid)} & self._incomplete)

    def _count(self, modality: str, status: Status) -> None:
        self.instances[status.value] += 1
        name = modality if not modality or modality in _MODALITIES else "other"
        self.by_modality[name][status.value] += 1

    def _find(self, names: Mapping[str, str]) -> None:
        for kind, name in names.items():
            if name:
                self.found[kind].add(name)


def write_summary(
    private: Path,
    batches: Sequence[str],
    tally: Tally,
    uids: UidMapCounts,
    ct_series: Mapping[str, int],
    decisions_unused: int,
    target: Path,
    products: Sequence[Path] = (),
) -> dict[str, Any]:
    """Write `audits/summary.json` and return it; reads findings and links besides what the audits counted.

    `products` are lists of what was made of CT stacks, a batch each.
    """
    summary = {
        "schema": SUMMARY_SCHEMA,
        **{kind: {"in": len(tally.found[kind]), "out": len(tally.out[kind])} for kind in tally.found},
        "studies_of_several_patients": sorted(tally.mixed),
        "instances": _by_status(tally.instances),
        "instances_by_modality": {name: _by_status(tally.by_modality[name]) for name in sorted(tally.by_modality)},
        "released_by_decision": tally.decided,
        "decisions_unused": decisions_unused,
        "series_incomplete": sum(tally.is_incomplete(*series.split(" ")) for series in tally.out["series"]),
        "rejected_by_reason": dict(sorted(tally.rejected.items())),
        "held_by_reason": dict(sorted(tally.held.items())),
        "text": {**_text(private, batches), "instances_redacted": tally.redacted, "read_again": dict(tally.read_again)},
        "links": link_counts(private),
        "ct_series": dict(ct_series),
        "ct_stacks": settled_products(private, products).as_data(),
        "uids": {"by_type": uids.by_type, "in_two_roles": uids.in_two_roles, "not_in_dataset": uids.not_in_dataset},
    }
    write_json_if_changed(target, json.dumps(summary, indent=1, ensure_ascii=True), 0o644)
    return summary


def _by_status(counts: Counter[str]) -> dict[str, int]:
    return {status.value: counts[status.value] for status in Status}


def _text(private: Path, batches: Sequence[str]) -> dict[str, Any]:
    verdicts: Counter[str] = Counter()
    hidden: Counter[str] = Counter()
    scans: Counter[str] = Counter()
    for batch in batches:
        for row in read_jsonl(private / "findings" / f"{batch}.jsonl"):
            scans[row["status"]] += 1
            for finding in row["findings"]:
                verdicts[finding["verdict"]] += 1
                hidden[finding["verdict"]] += bool(finding["hide"])
    return {
        "instances_read": scans["read"],
        "scans_by_status": dict(sorted(scans.items())),
        "regions_by_verdict": {verdict.value: verdicts[verdict.value] for verdict in Verdict},
        "hidden_by_verdict": {verdict.value: hidden[verdict.value] for verdict in Verdict},
        "regions_hidden": hidden.total(),
        "regions_benign_kept": verdicts[Verdict.BENIGN] - hidden[Verdict.BENIGN],
    }
