"""Name data sets, methods, runs and rows as tables, figures and MLflow show them."""

import baselines
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.declaration import PAPERS_BACKBONE, Row
from pipeline.campaign.identity import Run
from pipeline.core.catalogue import Catalogue


def data_title(catalogue: Catalogue, name: str) -> str:
    """Give a data set's title."""
    return catalogue.datasets[name].TITLE


def method_title(catalogue: Catalogue, name: str, options: dict) -> str:
    """Name a method with its options, as tables call it."""
    return baselines.label(catalogue.methods[name].TITLE, catalogue.method_options(name, options))


def run_title(catalogue: Catalogue, run: Run, options: dict, seed: bool = True) -> str:
    """Name a run by data set, backbone where it is not the paper's, method with `options`, and seed."""
    backbone = run.network["backbone"]
    backbone_title = "" if backbone == PAPERS_BACKBONE else f" {catalogue.backbones[backbone].TITLE}"
    title = f"{data_title(catalogue, run.data.name)}{backbone_title} {method_title(catalogue, run.method, options)}"
    return f"{title}, seed {run.seed}" if seed else title


def row_title(campaign: Campaign, row: Row) -> str:
    """Name a row of Table 1, whatever its seeds."""
    evaluation = campaign.named(row.evaluation)[0]
    stop = f"exit {row.exit}" if row.exit else f"T {row.timesteps or evaluation.timesteps}"
    return f"{run_title(campaign.catalogue, evaluation.run, evaluation.options, seed=False)}, {stop}"
