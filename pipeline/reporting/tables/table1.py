"""Make Table 1: the paper's rows beside those measured here, over the data sets of a declaration.

Measured here is the last epoch's accuracy, mean and sample standard deviation over seeds, evaluated in the arithmetic of its
training. The gap to the paper is left blank unless data set, network, recipe and scale are the paper's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.declaration import Row, inherited
from pipeline.campaign.titles import data_title, method_title
from pipeline.core.catalogue import Catalogue
from pipeline.core.paths import ROOT
from pipeline.reporting.tables.readings import seed_rows_of, warnings_text

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
    """Make the rows: the paper's in its order, each with the measured one where there is one, then measured ones that it lacks.

    `remarks` says what makes a row's numbers doubtful: the warnings about its networks, and its missing seeds.
    """
    import pandas as pd

    paper = paper_rows()
    measured = [
        measured_row(campaign, row, seed_rows)
        for row in campaign.experiment.table1
        if len(seed_rows := seed_rows_of(readings, row))
    ]
    rows = []
    for dataset in dict.fromkeys(row["key"][0] for row in measured):
        measured_here = [row for row in measured if row["key"][0] == dataset]
        paper_here = paper[paper.dataset == dataset]
        for paper_row in paper_here.itertuples():
            matches = [row for row in measured_here if row["key"] == paper_row.key and row["as_in_paper"]]
            rows += [beside_paper(campaign, paper_row, row) for row in matches] or [beside_paper(campaign, paper_row, None)]
        paper_keys = set(paper_here.key)
        rows += [row for row in measured_here if row["key"] not in paper_keys or not row["as_in_paper"]]
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def paper_rows() -> pd.DataFrame:
    """Read the paper's table, with keys: data set, method, gamma, and timesteps, or `exit` where each image has its own."""
    import pandas as pd

    paper = pd.read_csv(PAPER)
    reported = pd.read_csv(REPORTED, usecols=["dataset", "method", "title", "architecture", "source"])
    paper = paper.merge(reported, how="left", on=["dataset", "method"], suffixes=("", "_printed"))
    paper["key"] = [
        key_of(*row) for row in zip(paper.dataset, paper.method, paper.gamma, paper.timesteps, paper.timesteps % 1 > 0)
    ]
    return paper


def key_of(dataset: str, method: str, gamma: float | None, timesteps: float, early: bool) -> tuple:
    """Make the key by which measured rows and the paper's are matched; early: each image stops by itself."""
    import pandas as pd

    return (dataset, method, None if pd.isna(gamma) else int(gamma), "exit" if early else int(timesteps))


def measured_row(campaign: Campaign, row: Row, seed_rows: pd.DataFrame) -> dict:
    """Summarise a declared row over its seeds: accuracy in %, mean and sample standard deviation."""
    remarks = [warnings] if (warnings := warnings_text(seed_rows)) else []
    label = campaign.experiment.evaluations[row.evaluation].run
    seeds = inherited(campaign.experiment, label, "seeds")
    remarks += [f"seed {seed} is missing: {why}" for seed in seeds if (why := campaign.missing.get(campaign.run(label, seed).id))]
    first = seed_rows.iloc[0]
    comparable = campaign.experiment.scale == PAPER_SCALE and bool(first.papers_setting)
    return {
        "key": key_of(first.dataset, first.method, first.gamma, first.timesteps, bool(row.exit)),
        "as_in_paper": bool(first.as_in_paper),
        "comparable": comparable,
        "dataset": first.dataset_title,
        "method": first.title,
        "architecture": first.architecture,
        "avg_tokens": round(seed_rows.avg_tokens.mean(), 4),
        "timesteps": round(float(seed_rows.timesteps.mean()), 2),
        "dagger": "yes" if not row.exit and first.timesteps == first.trained_timesteps else "",
        "accuracy_mean": round(seed_rows.accuracy.mean(), 2),
        "accuracy_std": round(seed_rows.accuracy.std(), 2),
        "n": len(seed_rows),
        "best_on_test_mean": round(seed_rows.best_on_test.astype(float).mean(), 2),
        "origin": f"measured here on {first.origin}" + ("" if first.retrained_options else "; same weights, not retrained"),
        "scale": campaign.experiment.scale,
        "evaluation": row.evaluation,
        "exit": row.exit or "",
        "run_ids": " ".join(seed_rows.run),
        "remarks": "; ".join(remarks),
    }


def beside_paper(campaign: Campaign, paper_row, measured: dict | None) -> dict:
    """Join a row of the paper and the measured one, with their gap in points where they are comparable; or the paper's alone."""
    cells = {
        "paper_avg_tokens": paper_row.avg_tokens,
        "paper_timesteps": paper_row.timesteps,
        "paper_accuracy": paper_row.accuracy,
    }
    cells |= {"paper_architecture": architecture(campaign.catalogue, paper_row), "paper_origin": paper_row.origin}
    cells["paper_source"] = SOURCES[paper_row.origin].format(paper_row.source)
    if measured is None:
        title = data_title(campaign.catalogue, paper_row.dataset)
        return cells | {
            "dataset": title,
            "method": paper_title(campaign.catalogue, paper_row),
            "architecture": architecture(campaign.catalogue, paper_row),
        }
    if measured["comparable"] and cells["paper_architecture"] == measured["architecture"]:
        gap = round(measured["accuracy_mean"] - paper_row.accuracy, 2)
        cells["gap"] = gap
        cells["gap_in_std"] = round(gap / measured["accuracy_std"], 1) if measured["accuracy_std"] > 0 else None
    return measured | cells


def paper_title(catalogue: Catalogue, row) -> str:
    """Name the method of a row of the paper that was not measured."""
    import pandas as pd

    if row.origin == "quoted":
        return row.title
    options = {} if pd.isna(row.gamma) else {"gamma": int(row.gamma)}
    return method_title(catalogue, row.method, options)


def architecture(catalogue: Catalogue, row) -> str:
    """Name the network of a row of the paper (spikformer_4_384) as Run.architecture does; networks of other papers as printed."""
    if row.origin == "quoted":
        return row.architecture_printed
    backbone, size = row.architecture.split("_", 1)
    return f"{catalogue.backbones[backbone].TITLE}-{size.replace('_', '-')}"
