# Tables, figures and report are drawn again whenever something they show is newer: that takes seconds. Trainings and
# evaluations never run for a file time.
rule aggregate:
    input:
        campaign.measured(),
    output:
        csv=f"{campaign.folder}/tables/table1.csv",
        markdown=f"{campaign.folder}/tables/table1.md",
        links=f"{campaign.folder}/tables/links.csv",
        made=campaign.made_from("table1"),
    shell:
        "{campaign.stage[aggregate]}"
