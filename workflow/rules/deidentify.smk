rule deidentify_series:
    input:
        manifest="private/manifests/{batch}.json",
        findings="private/findings/{batch}.jsonl",
        lexicons=lexicons_of_batch,
        subjects="private/subjects/{batch}.jsonl",
        policy="private/policy.json",
        salt="private/salt",
        accepted_words="private/accepted_words.txt",
        shared=SHARED_BOXES,
    output:
        dicom=directory("private/staging/{batch}"),
        records="private/records/{batch}.jsonl",
        words="private/words/{batch}.jsonl",
    log:
        "logs/deidentify_series/{batch}.log",
    benchmark:
        "benchmarks/deidentify_series/{batch}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_batch(1000, 0.5),
        runtime=minutes_of_batch(5, 0.02),
    params:
        words=resources_digest("resources/vocabularies"),
        patterns=resources_digest("resources/free_text"),
        ideographs=resources_digest("resources/han_forms"),
        regions=files_digest("resources", "device_regions.json"),
        cues=resources_digest("resources/burned_in_text"),
        settings={
            "faces": config["faces"],
            "languages": sorted(config["free_text"]["languages"]),
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
        uid_map="private/uid_map/{batch}.jsonl",
        lexicons=lexicons_of_batch,
        subjects="private/subjects/{batch}.jsonl",
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
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_batch(1000, 0.5),
        runtime=minutes_of_batch(5, 0.02),
    params:
        settings=config["verification"],
        tables=resources_digest("resources/ps3_15"),
        ideographs=resources_digest("resources/han_forms"),
        environment=ENVIRONMENT,
        code=code_digest("verify_series"),
    script:
        "../../scripts/verify_series.py"
