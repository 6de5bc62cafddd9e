rule read_burned_in_text:
    input:
        manifest="private/manifests/{batch}.json",
    output:
        "private/read/{batch}.jsonl",
    log:
        "logs/read_burned_in_text/{batch}.log",
    benchmark:
        "benchmarks/read_burned_in_text/{batch}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_batch(1500, 0.5),
        runtime=minutes_of_batch(10, 0.1),
    params:
        settings=READER_SETTINGS,
        environment=ENVIRONMENT,
        code=code_digest("read_burned_in_text"),
    script:
        "../../scripts/read_burned_in_text.py"


rule judge_burned_in_text:
    input:
        manifest="private/manifests/{batch}.json",
        read="private/read/{batch}.jsonl",
        lexicons=lexicons_of_batch,
        policy="private/policy.json",
        decisions="private/decisions/{batch}.jsonl",
        salt="private/salt",
    output:
        "private/findings/{batch}.jsonl",
    log:
        "logs/judge_burned_in_text/{batch}.log",
    benchmark:
        "benchmarks/judge_burned_in_text/{batch}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_batch(800, 0.1),
        runtime=minutes_of_batch(5, 0.01),
    params:
        words=resources_digest("resources/burned_in_text"),
        vocabulary=resources_digest("resources/vocabularies"),
        ideographs=resources_digest("resources/han_forms"),
        allow_list=config["redaction"]["allow_list"],
        group_by=config["ocr"]["group_by"],
        environment=ENVIRONMENT,
        code=code_digest("judge_burned_in_text"),
    script:
        "../../scripts/judge_burned_in_text.py"


# Only where boxes are shared beyond the series: then cleaning waits for the findings of all batches.
rule gather_boxes:
    input:
        findings=per_batch("private/findings/{batch}.jsonl"),
    output:
        "private/shared_boxes.json",
    log:
        "logs/gather_boxes.log",
    benchmark:
        "benchmarks/gather_boxes.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_all(1000, 0.5),
        runtime=minutes_of_all(10, 0.02),
    params:
        code=code_digest("gather_boxes"),
    script:
        "../../scripts/gather_boxes.py"
