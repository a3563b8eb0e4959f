"""Name runs, methods, data sets and rows as tables and MLflow show them."""

import baselines
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import BACKBONES, Run
from pipeline.core.catalogue import discovered, method, method_options


def row_name(campaign: Campaign, row) -> str:
    evaluation = campaign.named(row.evaluation)[0]
    at = f"exit {row.exit}" if row.exit else f"T {row.timesteps or evaluation.timesteps}"
    return f"{title(evaluation.run, evaluation.options, seed=False)}, {at}"


def title(run: Run, options: dict, seed: bool = True) -> str:
    name = discovered("pipeline.data.datasets", run.data.name, "dataset").TITLE
    backbone = "" if run.network["backbone"] == "spikformer" else f" {BACKBONES[run.network['backbone']]}"
    shown = f"{name}{backbone} {baselines.label(method(run.method).TITLE, method_options(run.method, options))}"
    return f"{shown}, seed {run.seed}" if seed else shown
