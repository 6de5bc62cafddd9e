"""The steps of the pipeline in one process: what rules and jobs do, without starting a job for each series.

Every step is the function that the rule's entry calls, with the same configuration. What is released is decided as the
assembly does: by the entry's own function over the records that the steps left.
"""

from __future__ import annotations

from pathlib import Path

import run_config
from audit_status import Decisions, final_statuses
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.records import Manifest, Reading, RejectedFile, Status
from record_io import from_json, read_jsonl, to_data

SALT = b"benchmark of quality: no secret."
_READINGS: dict[str, Reading] = {}  # pixels are the same for every policy of a corpus


def run_steps(source: Path, work: Path, policy_name: str) -> tuple[dict[str, Path], dict[str, str]]:
    """Run all steps over a folder; return (released file by source path, reason by source path of what is not)."""
    config = run_config.read_config(None, (), policy_name)
    policy = load_policy(policy_name).to_json()
    private, staging = work / "private", work / "staging"
    private.mkdir(parents=True)
    inventory = {"salt": SALT, "settings": config["inventory"], "patients": {}, "decisions": [], "threads": 1}
    pipeline.scan_input(source, private, **inventory, policy_json=policy)
    written: dict[str, Path] = {}
    lost: dict[str, str] = {}
    for row in read_jsonl(private / "rejected.jsonl", RejectedFile):
        lost[row.path] = f"rejected: {row.reason} {row.detail}".strip()
    for path in sorted((private / "manifests").glob("*.json")):
        manifest = from_json(path.read_bytes(), Manifest)
        records, verdicts = _batch(manifest, private, staging, policy, config, source)
        by_uid = {record.sop_uid: record for record in records}
        rows = [to_data(record) for record in records]
        for uid, status in final_statuses(path.stem, rows, verdicts, Decisions([])).items():
            record = by_uid[uid]
            if status.status is Status.RELEASED:
                written[record.input_path] = staging / record.staged_path
            else:
                found = sorted({f"{residual.check} {residual.where}" for residual in status.residuals})
                lost[record.input_path] = f"{status.status.value}: {status.reason} {record.detail} {'; '.join(found)}"
    return written, lost


def _batch(manifest: Manifest, private: Path, staging: Path, policy: str, config: dict, source: Path):
    lexicons = {path.stem: path.read_text(encoding="utf-8") for path in (private / "lexicons").glob("*.json")}
    reader = {key: value for key, value in config["ocr"].items() if key not in ("group_by", "reread_share")}
    readings = list(pipeline.read_burned_in_text(manifest, source, reader, _READINGS.get, _READINGS.__setitem__))
    findings = list(pipeline.judge_burned_in_text(manifest, readings, lexicons, policy, [], SALT))
    context = (lexicons, policy, SALT, source, staging)
    asked = {"languages": sorted(config["free_text"]["languages"]), "ocr": reader}
    asked |= {key: config[key] for key in ("faces", "redaction")} | {"reread_share": config["ocr"]["reread_share"]}
    records = list(pipeline.deidentify_series(manifest, findings, *context, **asked))
    uids = {row["old_uid"]: row["new_uid"] for row in pipeline.map_uids(manifest, SALT)}
    settings = config["verification"]
    verdicts, _ = pipeline.verify_series(manifest, records, uids, lexicons, policy, source, staging, settings=settings)
    return records, verdicts
