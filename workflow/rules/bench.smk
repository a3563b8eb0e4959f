# Speed; asked for by name, no part of `all`. It names no output: it measures whenever it is asked to, and compares with the
# files of the last run, which Snakemake would delete before.
rule bench:
    threads: lambda _: workflow.cores
    shell:
        "{campaign.stage[bench]}"
