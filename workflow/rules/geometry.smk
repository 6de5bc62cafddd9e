rule extract_metadata:
    input:
        dicom="private/staging/{batch}",
        records="private/records/{batch}.jsonl",
    output:
        "private/metadata/{batch}.jsonl",
    log:
        "logs/extract_metadata/{batch}.log",
    benchmark:
        "benchmarks/extract_metadata/{batch}.tsv"
    resources:
        mem_mb=memory_of_batch(600, 0.1),
        runtime=minutes_of_batch(5, 0.005),
    params:
        environment=ENVIRONMENT,
        code=code_digest("extract_metadata"),
    script:
        "../../scripts/extract_metadata.py"


rule measure_ct_geometry:
    input:
        dicom="private/staging/{batch}",
        records="private/records/{batch}.jsonl",
    output:
        "private/geometry/{batch}.jsonl",
    log:
        "logs/measure_ct_geometry/{batch}.log",
    benchmark:
        "benchmarks/measure_ct_geometry/{batch}.tsv"
    resources:
        mem_mb=memory_of_batch(800, 0.1),
        runtime=minutes_of_batch(5, 0.005),
    params:
        settings=config["geometry"],
        environment=ENVIRONMENT,
        code=code_digest("measure_ct_geometry"),
    script:
        "../../scripts/measure_ct_geometry.py"
