rule evaluate:
    input:
        lambda wildcards: ancient(campaign.evaluation_inputs(wildcards.evaluation)),
    output:
        result=f"{campaign.folder}/evals/{{evaluation}}/result.json",
        tokens=f"{campaign.folder}/evals/{{evaluation}}/tokens.npz",
    threads: campaign.experiment.threads
    shell:
        "{campaign.stage[evaluate]} --evaluation {wildcards.evaluation}"
