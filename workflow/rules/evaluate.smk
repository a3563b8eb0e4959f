# All evaluations of one run's weights in one process.
rule evaluate:
    input:
        lambda wildcards: ancient(evaluation_inputs(campaign, wildcards.measured)),
    output:
        results=f"{campaign.folder}/evals/{{measured}}.json",
        arrays=f"{campaign.folder}/arrays/{{measured}}.npz",
    threads: campaign.experiment.threads
    resources:
        gpu=1,
    shell:
        BEGIN + "{campaign.stage[evaluate]} --set {wildcards.measured}"
