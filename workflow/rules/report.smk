rule figure:
    input:
        lambda wildcards: inputs_of(wildcards.figure),
    output:
        picture=report(
            f"{campaign.folder}/figures/{{figure}}.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        print=f"{campaign.folder}/figures/{{figure}}.pdf",
        numbers=f"{campaign.folder}/figures/{{figure}}.json",
        made=f"{campaign.folder}/made/{{figure}}-{campaign.set_digest}.json",
    wildcard_constraints:
        figure="|".join(campaign.experiment.figures) or "none",
    shell:
        BEGIN + "{campaign.stage[figure]} --figure {wildcards.figure}"


rule report:
    input:
        lambda _: inputs_of("report"),
    output:
        page=report(f"{campaign.folder}/report.html", caption="../report/page.rst", category="Report"),
        made=campaign.made_from("report"),
    shell:
        BEGIN + "{campaign.stage[report]}"
