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
    conda:
        "../../envs/environment.yaml"
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
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_batch(800, 0.1),
        runtime=minutes_of_batch(5, 0.005),
    params:
        settings=GEOMETRY_SETTINGS,
        environment=ENVIRONMENT,
        code=code_digest("measure_ct_geometry"),
    script:
        "../../scripts/measure_ct_geometry.py"


rule draw_stacks:
    input:
        dicom="private/staging/{batch}",
        records="private/records/{batch}.jsonl",
        marking=marking("private/staging/{batch}"),
        marking_records=marking("private/records/{batch}.jsonl"),
    output:
        figures=directory("private/figures/{batch}"),
        products="private/figures/{batch}.jsonl",
    log:
        "logs/draw_stacks/{batch}.log",
    benchmark:
        "benchmarks/draw_stacks/{batch}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_batch(1500, 1),
        runtime=minutes_of_batch(5, 0.02),
    params:
        settings=GEOMETRY_SETTINGS,
        environment=ENVIRONMENT,
        code=code_digest("draw_stacks"),
    script:
        "../../scripts/draw_stacks.py"


# Off by default: geometry.resample asks for it.
rule resample:
    input:
        dicom="private/staging/{batch}",
        records="private/records/{batch}.jsonl",
        marking=marking("private/staging/{batch}"),
        marking_records=marking("private/records/{batch}.jsonl"),
    output:
        volumes=directory("private/volumes/{batch}"),
        products="private/volumes/{batch}.jsonl",
    log:
        "logs/resample/{batch}.log",
    benchmark:
        "benchmarks/resample/{batch}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_batch(2000, 6, limit=64000),
        runtime=minutes_of_batch(10, 0.1),
    params:
        settings=GEOMETRY_SETTINGS,
        format=config["geometry"]["format"],
        environment=ENVIRONMENT,
        code=code_digest("resample"),
    script:
        "../../scripts/resample.py"


# Where a part of a series, or a SEG or RTSTRUCT that marks it, is withheld: what is said and shown holds for the rest.
rule remake_stacks:
    input:
        statuses="private/statuses.jsonl",
        records=per_batch("private/records/{batch}.jsonl"),
        dicom=per_batch("private/staging/{batch}"),
        drawn=per_batch("private/figures/{batch}.jsonl") if FIGURES else [],
        resampled=per_batch("private/volumes/{batch}.jsonl") if VOLUMES else [],
    output:
        geometry="private/remade/geometry.jsonl",
        figures=directory("private/remade/figures"),
        figures_list="private/remade/figures.jsonl",
        volumes=directory("private/remade/volumes"),
        volumes_list="private/remade/volumes.jsonl",
    log:
        "logs/remake_stacks/remake_stacks.log",
    benchmark:
        "benchmarks/remake_stacks/remake_stacks.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_all(64000 if VOLUMES else 4000, 1),
        runtime=minutes_of_all(30, 0.1),
    params:
        settings=GEOMETRY_SETTINGS,
        figures=FIGURES,
        kind=config["geometry"]["format"] if VOLUMES else "",
        environment=ENVIRONMENT,
        code=code_digest("remake_stacks"),
    script:
        "../../scripts/remake_stacks.py"


# What the report shows: figures of released stacks alone, and that of the data set.
rule gather_figures:
    input:
        figures=per_batch("private/figures/{batch}"),
        products=per_batch("private/figures/{batch}.jsonl"),
        remade=rules.remake_stacks.output,
        statuses="private/statuses.jsonl",
        ct_prepro="audits/ct_prepro/ct_prepro_audit.json",
    output:
        overview=report(
            "audits/figures/overview.png",
            caption="../report/overview.rst",
            category="CT stacks",
        ),
        stacks=report(
            directory("audits/figures/stacks"),
            patterns=["{study}/{series}/{stack}.png"],
            caption="../report/figures.rst",
            category="CT stacks",
        ),
    log:
        "logs/gather_figures/gather_figures.log",
    benchmark:
        "benchmarks/gather_figures/gather_figures.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory_of_all(1000, 0.5),
        runtime=minutes_of_all(10, 0.05),
    params:
        environment=ENVIRONMENT,
        code=code_digest("gather_figures"),
    script:
        "../../scripts/gather_figures.py"
