"""Make readings.csv from the metrics of evaluations: a row per evaluation and timestep, and per evaluation and exit.

Tables and figures are made from these rows; a row names its run and its evaluation by their ids.
"""
# Tested in tests/pipeline/reporting/tables/test_table1.py

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import baselines
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.declaration import PAPERS_BACKBONE, Recipe, Row
from pipeline.campaign.identity import Evaluation, Run
from pipeline.campaign.titles import data_title
from pipeline.core import atomic_files
from pipeline.core.energy_units import CONVENTIONS

if TYPE_CHECKING:
    import pandas as pd


PAPERS_OPTIONS = ("gamma",)  # options that the paper's rows differ in; a row with any other option changed is not in its table


def readings(
    campaign: Campaign, metrics: Mapping[str, dict], warnings: Mapping[str, list[str]] = MappingProxyType({})
) -> pd.DataFrame:
    """Make all rows of readings.csv, of every evaluation that is no probe.

    By an evaluation's id: `metrics` has its numbers by name, `warnings` those about the network (pipeline.evaluation.silent_layers).
    Energy in uJ per image, over the timesteps executed, by convention (pipeline.evaluation.energy).
    """
    import pandas as pd

    rows = []
    for evaluation in campaign.evaluations:
        if evaluation.probe:
            continue
        values, common = metrics[evaluation.id], describe(campaign, evaluation)
        best, warned = best_on_test(campaign, evaluation), {"warnings": ", ".join(warnings.get(evaluation.id, []))}
        for t in range(1, evaluation.timesteps + 1):
            measured = {"accuracy": values[f"accuracy_by_timestep_{t}"], "avg_tokens": values[f"average_tokens_by_timestep_{t}"]}
            measured |= {f"energy_{name}": values[f"energy.{name}_{t}"] for name in CONVENTIONS}
            trained = t == evaluation.run.network["timesteps"]
            rows.append(common | {"exit": "", "timesteps": t} | measured | {"best_on_test": best if trained else None} | warned)
        for name in evaluation.exits:
            measured = {key: values[f"exit.{name}.{key}"] for key in ("accuracy", "timesteps")}
            measured["avg_tokens"] = values[f"exit.{name}.average_tokens"]
            measured |= {f"energy_{kind}": values[f"exit.{name}.energy.{kind}"] for kind in CONVENTIONS}
            rows.append(
                common | name_of(campaign, name, evaluation) | {"exit": name} | measured | {"best_on_test": None} | warned
            )
    return pd.DataFrame(rows)


def seed_rows_of(readings: pd.DataFrame, row: Row) -> pd.DataFrame:
    """Select the readings that a row of Table 1 is made from: one per seed."""
    seed_rows = readings[(readings.evaluation == row.evaluation) & (readings.exit == (row.exit or ""))]
    return seed_rows if row.exit else seed_rows[seed_rows.timesteps == (row.timesteps or seed_rows.timesteps.max())]


def warnings_text(readings: pd.DataFrame) -> str:
    """Join the warnings about the networks of these readings, seed by seed, into one text; empty where there are none."""
    warned = readings[readings.warnings != ""].drop_duplicates("evaluation_id")
    return "; ".join(f"seed {reading.seed}: {reading.warnings}" for reading in warned.itertuples())


def describe(campaign: Campaign, evaluation: Evaluation) -> dict:
    """Describe an evaluation by the columns that all of its rows share: network, data, options, ids, seed."""
    run = evaluation.run
    return name_of(campaign, run.method, evaluation) | {
        "dataset": run.data.name,
        "dataset_title": data_title(campaign.catalogue, run.data.name),
        "architecture": run.architecture,
        "gamma": evaluation.options.get("gamma"),
        "trained_timesteps": run.network["timesteps"],
        "retrained_options": evaluation.options == run.options,
        "evaluation": evaluation.name,
        "evaluation_id": evaluation.id,
        "run": run.id,
        "parent": run.parent.id if run.parent else "",
        "seed": run.seed,
        "origin": run.data.origin,
        "papers_setting": in_papers_setting(run),
    }


def in_papers_setting(run: Run) -> bool:
    """Check that a run uses all official images and the published recipe, and its parents do too."""
    whole = run.data.official and run.data.train is None and run.data.test is None
    return whole and run.recipe == Recipe().model_dump() and (run.parent is None or in_papers_setting(run.parent))


def name_of(campaign: Campaign, name: str, evaluation: Evaluation) -> dict:
    """Name the method of a row; `as_in_paper` is True where it was trained as the paper's rows of that method are."""
    module = campaign.catalogue.methods[name]
    options = campaign.catalogue.method_options(evaluation.run.method, evaluation.options)
    # the paper's table has no other backbone
    like_paper = as_in_paper(campaign, evaluation) and evaluation.run.network["backbone"] == PAPERS_BACKBONE
    return {"method": name, "title": baselines.label(module.TITLE, options), "as_in_paper": like_paper}


def as_in_paper(campaign: Campaign, evaluation: Evaluation) -> bool:
    """Check that an evaluation has the options of its training, and that those, except gamma, are the paper's."""
    papers_choice = {key: value for key, value in evaluation.options.items() if key in PAPERS_OPTIONS}
    papers_options = campaign.catalogue.method_options(evaluation.run.method, papers_choice).model_dump()
    return papers_options == evaluation.options == evaluation.run.options


def best_on_test(campaign: Campaign, evaluation: Evaluation) -> float | None:
    """Read the accuracy (%) of the epoch that was best on the test set; None where the options are not those of the training."""
    if evaluation.options != evaluation.run.options:
        return None
    done = atomic_files.read_json(campaign.run_folder(evaluation.run) / "done.json", "best_on_test")
    return done["best_on_test"]["test_accuracy"]
