rule draw_pictures:
    input:
        manifest="private/manifests/{batch}.json",
        read="private/read/{batch}.jsonl",
        findings="private/findings/{batch}.jsonl",
        records="private/records/{batch}.jsonl",
        dicom="private/staging/{batch}",
    output:
        "private/pictures/{batch}/series.jsonl",
    log:
        "logs/draw_pictures/{batch}.log",
    benchmark:
        "benchmarks/draw_pictures/{batch}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_batch(1000, 0.1),
        runtime=minutes_of_batch(5, 0.01),
    params:
        settings=config["reports"],
        environment=ENVIRONMENT,
        code=code_digest("draw_pictures"),
    script:
        "../../scripts/draw_pictures.py"


rule report_pictures:
    input:
        pictures=per_batch("private/pictures/{batch}/series.jsonl"),
        statuses="private/statuses.jsonl",
    output:
        PICTURE_PAGES,
        pages=directory("private/reports/pages"),
        counts=report(
            "private/reports/burned_in_text.json",
            caption="../report/burned_in_text.rst",
            category="Summary",
        ),
    log:
        "logs/report_pictures/report_pictures.log",
    benchmark:
        "benchmarks/report_pictures/report_pictures.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_all(1000, 0.5),
        runtime=minutes_of_all(10, 0.05),
    params:
        environment=ENVIRONMENT,
        code=code_digest("report_pictures"),
    script:
        "../../scripts/report_pictures.py"
