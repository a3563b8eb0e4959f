rule figure:
    input:
        lambda wildcards: campaign.figure_inputs(wildcards.figure),
    output:
        picture=f"{campaign.folder}/figures/{{figure}}.png",
        numbers=f"{campaign.folder}/figures/{{figure}}.json",
        made=f"{campaign.folder}/made/{{figure}}-{campaign.set_digest}.json",
    wildcard_constraints:
        figure="|".join(campaign.experiment.figures) or "none",
    shell:
        "{campaign.stage[figure]} --figure {wildcards.figure}"


rule report:
    input:
        campaign.products(),
    output:
        page=f"{campaign.folder}/report.html",
        made=campaign.made_from("report"),
    shell:
        "{campaign.stage[report]}"
