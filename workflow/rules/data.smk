# Where Snakemake runs, also on a cluster: its other nodes may have no way to the archives.
rule prepare:
    localrule: True
    output:
        "data/prepared/{data}/meta.json",
    shell:
        "{campaign.stage[prepare]} --set {wildcards.data}"


rule data:
    input:
        campaign.prepared(),
