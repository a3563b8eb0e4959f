# Tables, figures and report are drawn again whenever something they show has changed: that takes seconds. Trainings and
# evaluations never run for a file time.
rule aggregate:
    input:
        lambda _: inputs_of("tables"),
    output:
        tables=report(campaign.tables(), caption="../report/tables.rst", category="Tables"),
        links=str(campaign.links),  # into this machine's MLflow: made with the tables, and nobody's target
        made=campaign.made_from("tables"),
    shell:
        BEGIN + "{campaign.stage[aggregate]}"


# The paper's sentences, judged on tables and figures.
rule claims:
    input:
        lambda _: inputs_of("claims"),
    output:
        table=report(f"{campaign.folder}/tables/claims.csv", caption="../report/claims.rst", category="Claims"),
        made=campaign.made_from("claims"),
    shell:
        BEGIN + "{campaign.stage[claims]}"
