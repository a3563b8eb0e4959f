# AT-SNN: from workflow/experiments/<scale>.yaml to results/<scale>/report.html
from pipeline.campaign import from_config

configfile: "params.yaml"

campaign = from_config(config)

include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/bench.smk"

rule all:
    default_target: True
    input:
        campaign.targets(),
