# Tables, figures and report are drawn again whenever something they show is newer: that takes seconds. Trainings and
# evaluations never run for a file time.
rule aggregate:
    input:
        campaign.measured(),
    output:
        tables=report(campaign.tables(), caption="../report/tables.rst", category="Tables"),
        made=campaign.made_from("tables"),
    shell:
        BEGIN + "{campaign.stage[aggregate]}"


# The paper's sentences, judged on tables and figures.
rule claims:
    input:
        campaign.products(),
    output:
        table=report(f"{campaign.folder}/tables/claims.csv", caption="../report/claims.rst", category="Claims"),
        made=campaign.made_from("claims"),
    shell:
        BEGIN + "{campaign.stage[claims]}"
