# Tables, figures and report are drawn again whenever something they show is newer: that takes seconds. Trainings and
# evaluations never run for a file time.
rule aggregate:
    input:
        campaign.measured(),
    output:
        tables=campaign.tables(),
        made=campaign.made_from("tables"),
    shell:
        "{campaign.stage[aggregate]}"
