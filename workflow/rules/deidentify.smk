rule deidentify_series:
    input:
        manifest="private/manifests/{batch}.json",
        findings="private/findings/{batch}.jsonl",
        lexicons=lexicons_of_batch,
        policy="private/policy.json",
        salt="private/salt",
        shared=SHARED_BOXES,
    output:
        dicom=directory("private/staging/{batch}"),
        records="private/records/{batch}.jsonl",
    log:
        "logs/deidentify_series/{batch}.log",
    benchmark:
        "benchmarks/deidentify_series/{batch}.tsv"
    resources:
        mem_mb=memory_of_batch(1000, 0.5),
        runtime=minutes_of_batch(5, 0.02),
    params:
        words=resources_digest("resources/vocabularies"),
        regions=files_digest("resources", "device_regions.json"),
        cues=resources_digest("resources/burned_in_text"),
        settings={
            "redaction": config["redaction"],
            "ocr": READER_SETTINGS,
            "reread_share": config["ocr"]["reread_share"],
        },
        environment=ENVIRONMENT,
        code=code_digest("deidentify_series"),
    script:
        "../../scripts/deidentify_series.py"


rule verify_series:
    input:
        manifest="private/manifests/{batch}.json",
        uid_map="private/uid_map/{batch}.parquet",
        lexicons=lexicons_of_batch,
        policy="private/policy.json",
        dicom="private/staging/{batch}",
        records="private/records/{batch}.jsonl",
    output:
        verification="private/verification/{batch}.jsonl",
        links="private/links/{batch}.jsonl",
    log:
        "logs/verify_series/{batch}.log",
    benchmark:
        "benchmarks/verify_series/{batch}.tsv"
    resources:
        mem_mb=memory_of_batch(1000, 0.5),
        runtime=minutes_of_batch(5, 0.02),
    params:
        environment=ENVIRONMENT,
        code=code_digest("verify_series"),
    script:
        "../../scripts/verify_series.py"
