# Speed of the methods side by side; asked for by name, no part of `all`.
rule bench:
    output:
        measured=f"{campaign.folder}/bench/benchmark.json",
        ratios=f"{campaign.folder}/bench/ratios.json",
    threads: workflow.cores
    shell:
        "{campaign.stage[bench]}"
