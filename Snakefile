# AT-SNN: from workflow/experiments/<scale>.yaml to results/<scale>/report.html
from pipeline.command_line import from_config
from pipeline.campaign.freshness import evaluation_inputs, inputs_here, is_settled, targets
from workflow.start import check_place, start

check_place()
configfile: "params.yaml"

campaign = from_config(config)
start(workflow, campaign)
BEGIN = "workflow/no_later_than_now.sh {input} && exec "  # of every job that has inputs: signals reach what it executes


def inputs_of(product):
    """Of tables, claims, report or a figure. File times decide nothing where the bytes are those that it was made from."""
    return ancient(inputs_here(campaign, product)) if is_settled(campaign, product) else campaign.inputs_of(product)


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/bench.smk"

# What can't be made stops nothing else; the tables of what there is say what they lack
onerror:
    if any(campaign.results_file(run).exists() for run in campaign.measured_runs):
        shell("{campaign.stage[partial]} || true")


rule all:
    default_target: True
    input:
        targets(campaign),
