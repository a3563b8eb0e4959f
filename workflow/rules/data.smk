rule prepare:
    output:
        "data/prepared/{data}/meta.json",
    shell:
        "{campaign.stage[prepare]} --set {wildcards.data}"


rule data:
    input:
        campaign.prepared(),
