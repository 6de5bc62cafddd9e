rule check_link_geometry:
    input:
        links=per_batch("private/links/{batch}.jsonl"),
        records=per_batch("private/records/{batch}.jsonl"),
        metadata=per_batch("private/metadata/{batch}.jsonl"),
        dicom=per_batch("private/staging/{batch}"),
    output:
        "private/link_geometry.jsonl",
    log:
        "logs/check_link_geometry/check_link_geometry.log",
    benchmark:
        "benchmarks/check_link_geometry/check_link_geometry.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_all(1000, 0.2),
        runtime=minutes_of_all(10, 0.06),
    params:
        environment=ENVIRONMENT,
        code=code_digest("check_link_geometry"),
    script:
        "../../scripts/check_link_geometry.py"


rule check_links:
    input:
        links=per_batch("private/links/{batch}.jsonl"),
        verification=per_batch("private/verification/{batch}.jsonl"),
        records=per_batch("private/records/{batch}.jsonl"),
        decisions="private/decisions.csv",
        rejected=after_scan("private/rejected.jsonl"),
        geometry="private/link_geometry.jsonl",
        salt="private/salt",
    output:
        links="private/links.jsonl",
        statuses="private/statuses.jsonl",
    log:
        "logs/check_links/check_links.log",
    benchmark:
        "benchmarks/check_links/check_links.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_all(1000, 0.2),
        runtime=minutes_of_all(10, 0.03),
    params:
        code=code_digest("check_links"),
    script:
        "../../scripts/check_links.py"


rule assemble_audits:
    input:
        manifests=per_batch("private/manifests/{batch}.json"),
        uid_map=per_batch("private/uid_map/{batch}.jsonl"),
        findings=per_batch("private/findings/{batch}.jsonl"),
        records=per_batch("private/records/{batch}.jsonl"),
        words=per_batch("private/words/{batch}.jsonl"),
        metadata=per_batch("private/metadata/{batch}.jsonl"),
        geometry=per_batch("private/geometry/{batch}.jsonl"),
        remade=rules.remake_stacks.output,
        drawn=per_batch("private/figures/{batch}.jsonl") if FIGURES else [],
        resampled=per_batch("private/volumes/{batch}.jsonl") if VOLUMES else [],
        rejected=after_scan("private/rejected.jsonl"),
        links="private/links.jsonl",
        statuses="private/statuses.jsonl",
        decisions="private/decisions.csv",
        policy="private/policy.json",
        salt="private/salt",
    output:
        deid="audits/deid/deid_audit.jsonl",
        deid_seal="audits/deid/deid_audit.seal.json",
        uid="audits/uid/uid_map.parquet",
        links="audits/uid/links.parquet",
        metadata=report(
            "audits/metadata/metadata_audit.parquet",
            caption="../report/metadata_audit.rst",
            category="Audits",
        ),
        ct_prepro=report(
            "audits/ct_prepro/ct_prepro_audit.json",
            caption="../report/ct_prepro_audit.rst",
            category="Audits",
        ),
        seal="audits/seal.json",
        words="private/review/unknown_words.tsv",
        summary=report(
            "audits/summary.json",
            caption="../report/summary.rst",
            category="Summary",
        ),
    log:
        "logs/assemble_audits/assemble_audits.log",
    benchmark:
        "benchmarks/assemble_audits/assemble_audits.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_all(1500, 1),
        runtime=minutes_of_all(10, 0.08),
    params:
        settings=GEOMETRY_SETTINGS,
        code=code_digest("assemble_audits"),
        pipeline_code=code_digest("deidentify_series"),
    script:
        "../../scripts/assemble_audits.py"


rule release:
    input:
        staging=per_batch("private/staging/{batch}"),
        records=per_batch("private/records/{batch}.jsonl"),
        statuses="private/statuses.jsonl",
        policy="private/policy.json",
        salt="private/salt",
        metadata="audits/metadata/metadata_audit.parquet",
        ct_prepro="audits/ct_prepro/ct_prepro_audit.json",
        deid_seal="audits/deid/deid_audit.seal.json",
        seal="audits/seal.json",
        figures="audits/figures/overview.png" if FIGURES else [],
        drawn=per_batch("private/figures/{batch}.jsonl") if FIGURES else [],
        volumes=per_batch("private/volumes/{batch}") if VOLUMES else [],
        resampled=per_batch("private/volumes/{batch}.jsonl") if VOLUMES else [],
        remade=rules.remake_stacks.output,
    output:
        "private/release.json",
    log:
        "logs/release/release.log",
    benchmark:
        "benchmarks/release/release.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_all(1000, 0.2),
        runtime=minutes_of_all(10, 0.06),
    params:
        code=code_digest("release"),
        pipeline_code=code_digest("deidentify_series"),
    script:
        "../../scripts/release.py"


rule prune_withdrawn:
    input:
        index=after_scan("private/index.tsv"),
        read=per_batch("private/read/{batch}.jsonl"),
        release="private/release.json",
    output:
        "private/pruned.json",
    log:
        "logs/prune_withdrawn/prune_withdrawn.log",
    benchmark:
        "benchmarks/prune_withdrawn/prune_withdrawn.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_all(500, 0.1),
        runtime=minutes_of_all(10, 0.01),
    params:
        pictures=config["reports"]["pictures"],
        code=code_digest("prune_withdrawn"),
    script:
        "../../scripts/prune_withdrawn.py"
