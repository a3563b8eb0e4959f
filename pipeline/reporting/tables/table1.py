"""Table 1: the paper's rows and ours, side by side, over the data sets of a declaration.

Ours is the last epoch's accuracy, mean and sample standard deviation over seeds, evaluated in the arithmetic of its
training. The gap to the paper is left blank unless data set, network, recipe and scale are the paper's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.declaration import Row, inherited
from pipeline.campaign.titles import data_title, method_title
from pipeline.core.catalogue import Catalogue
from pipeline.core.paths import ROOT
from pipeline.reporting.tables.readings import doubts, of_row

if TYPE_CHECKING:
    import pandas as pd


PAPER = ROOT / "baselines" / "paper_table1.csv"  # Kang et al., Table 1, transcribed
REPORTED = ROOT / "baselines" / "reported.csv"  # where the numbers come from that the paper quotes
PAPER_SCALE = "paper"
SOURCES = {"quoted": "quoted by the paper from {}", "rerun": "re-run by the paper's authors", "own": "the paper's own"}
COLUMNS = (
    "dataset",
    "method",
    "architecture",
    "avg_tokens",
    "timesteps",
    "dagger",
    "accuracy_mean",
    "accuracy_std",
    "n",
    "best_on_test_mean",
    "paper_avg_tokens",
    "paper_timesteps",
    "paper_accuracy",
    "paper_architecture",
    "paper_origin",
    "paper_source",
    "gap",
    "gap_in_std",
    "origin",
    "scale",
    "evaluation",
    "exit",
    "run_ids",
    "remarks",
)


def table1(campaign: Campaign, readings: pd.DataFrame) -> pd.DataFrame:
    """One line per row: the paper's in its order, each with ours beside it where there is one, then ours that it lacks.

    `remarks` has what makes a row's numbers doubtful: what is dead in its networks, and the seeds that it lacks.
    """
    import pandas as pd

    paper = paper_rows()
    ours = [measured_row(campaign, row, own) for row in campaign.experiment.table1 if len(own := of_row(readings, row))]
    lines = []
    for name in dict.fromkeys(line["key"][0] for line in ours):
        mine = [line for line in ours if line["key"][0] == name]
        theirs = paper[paper.dataset == name]
        for row in theirs.itertuples():
            found = [line for line in mine if line["key"] == row.key and line["as_in_paper"]]
            lines += [beside(campaign, row, line) for line in found] or [beside(campaign, row, None)]
        known = set(theirs.key)
        lines += [line for line in mine if line["key"] not in known or not line["as_in_paper"]]
    return pd.DataFrame(lines).reindex(columns=COLUMNS)


def paper_rows() -> pd.DataFrame:
    """The paper's table with a key: data set, method, gamma, and the timesteps, or `exit` where each image has its own."""
    import pandas as pd

    paper = pd.read_csv(PAPER)
    reported = pd.read_csv(REPORTED, usecols=["dataset", "method", "title", "architecture", "source"])
    paper = paper.merge(reported, how="left", on=["dataset", "method"], suffixes=("", "_printed"))
    paper["key"] = [
        key_of(*row) for row in zip(paper.dataset, paper.method, paper.gamma, paper.timesteps, paper.timesteps % 1 > 0)
    ]
    return paper


def key_of(dataset: str, method: str, gamma: float | None, timesteps: float, early: bool) -> tuple:
    import pandas as pd

    return (dataset, method, None if pd.isna(gamma) else int(gamma), "exit" if early else int(timesteps))


def measured_row(campaign: Campaign, row: Row, own: pd.DataFrame) -> dict:
    """A declared row: its reading of every seed, summarised."""
    remarks = [dead] if (dead := doubts(own)) else []
    label = campaign.experiment.evaluations[row.evaluation].run
    seeds = inherited(campaign.experiment, label, "seeds")
    remarks += [f"seed {seed} is missing: {why}" for seed in seeds if (why := campaign.missing.get(campaign.run(label, seed).id))]
    first = own.iloc[0]
    comparable = campaign.experiment.scale == PAPER_SCALE and bool(first.papers_setting)
    return {
        "key": key_of(first.dataset, first.method, first.gamma, first.timesteps, bool(row.exit)),
        "as_in_paper": bool(first.as_in_paper),
        "comparable": comparable,
        "dataset": first.dataset_title,
        "method": first.title,
        "architecture": first.architecture,
        "avg_tokens": round(own.avg_tokens.mean(), 4),
        "timesteps": round(float(own.timesteps.mean()), 2),
        "dagger": "yes" if not row.exit and first.timesteps == first.trained_timesteps else "",
        "accuracy_mean": round(own.accuracy.mean(), 2),
        "accuracy_std": round(own.accuracy.std(), 2),
        "n": len(own),
        "best_on_test_mean": round(own.best_on_test.astype(float).mean(), 2),
        "origin": f"measured here on {first.origin}" + ("" if first.retrained_options else "; same weights, not retrained"),
        "scale": campaign.experiment.scale,
        "evaluation": row.evaluation,
        "exit": row.exit or "",
        "run_ids": " ".join(own.run),
        "remarks": "; ".join(remarks),
    }


def beside(campaign: Campaign, row, line: dict | None) -> dict:
    """A row of the paper with ours, or alone."""
    told = {"paper_avg_tokens": row.avg_tokens, "paper_timesteps": row.timesteps, "paper_accuracy": row.accuracy}
    told |= {"paper_architecture": architecture(campaign.catalogue, row), "paper_origin": row.origin}
    told["paper_source"] = SOURCES[row.origin].format(row.source)
    if line is None:
        title = data_title(campaign.catalogue, row.dataset)
        return told | {
            "dataset": title,
            "method": paper_title(campaign.catalogue, row),
            "architecture": architecture(campaign.catalogue, row),
        }
    if line["comparable"] and told["paper_architecture"] == line["architecture"]:
        gap = round(line["accuracy_mean"] - row.accuracy, 2)
        told["gap"] = gap
        told["gap_in_std"] = round(gap / line["accuracy_std"], 1) if line["accuracy_std"] > 0 else None
    return line | told


def paper_title(catalogue: Catalogue, row) -> str:
    """A method's name for a row of the paper that was not measured."""
    import pandas as pd

    if row.origin == "quoted":
        return row.title
    options = {} if pd.isna(row.gamma) else {"gamma": int(row.gamma)}
    return method_title(catalogue, row.method, options)


def architecture(catalogue: Catalogue, row) -> str:
    """spikformer_4_384 as Run.architecture has it; networks of other papers as printed."""
    if row.origin == "quoted":
        return row.architecture_printed
    backbone, size = row.architecture.split("_", 1)
    return f"{catalogue.backbones[backbone].TITLE}-{size.replace('_', '-')}"
