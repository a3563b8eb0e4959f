# A checkpoint is no output: Snakemake deletes outputs before a job and after a failure. It stays in weights/<run>/, from
# where a training goes on; what is listed here appears only when the training is complete.
rule train:
    input:
        lambda wildcards: ancient(campaign.prerequisites(wildcards.run)),
    output:
        record=f"{campaign.folder}/runs/{{run}}/record.jsonl",
        declaration=f"{campaign.folder}/runs/{{run}}/declaration.yaml",
        done=f"{campaign.folder}/runs/{{run}}/done.json",
        weights=f"{campaign.folder}/weights/{{run}}/final.safetensors",
    log:
        f"{campaign.folder}/logs/train/{{run}}.log",
    threads: campaign.experiment.threads
    resources:
        gpu=1,
    retries: 5  # one that was asked to stop, ran out of time, or was killed goes on where it was; one that can't be mended ends at once
    shell:
        BEGIN + "{campaign.stage[train]} --run {wildcards.run} --processes {resources.gpu} --log {log}"
