checkpoint inventory:
    input:
        salt="private/salt",
        patients="private/patients.csv",
        subjects="private/subjects.csv",
        policy="private/policy.json",
        decisions="private/decisions.csv",
    output:
        "private/inventory.json",
    log:
        "logs/inventory/inventory.log",
    benchmark:
        "benchmarks/inventory/inventory.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: workflow.resource_settings.cores or 4
    resources:
        mem_mb=lambda wildcards, threads, attempt: attempt * (1000 + 250 * threads),
        runtime=lambda wildcards, attempt: attempt * 720,
    params:
        run=RUN_ID,
        settings=config["inventory"],
        environment=ENVIRONMENT,
        code=code_digest("inventory"),
    script:
        "../../scripts/inventory.py"


rule map_uids:
    input:
        manifest="private/manifests/{batch}.json",
        salt="private/salt",
    output:
        "private/uid_map/{batch}.jsonl",
    log:
        "logs/map_uids/{batch}.log",
    benchmark:
        "benchmarks/map_uids/{batch}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_batch(500, 0.1),
        runtime=minutes_of_batch(5, 0.001),
    params:
        environment=ENVIRONMENT,
        code=code_digest("map_uids"),
    script:
        "../../scripts/map_uids.py"
