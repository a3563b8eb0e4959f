"""Readings: what each evaluation says after each timestep and at each exit, one line each, from MLflow's metrics.

Tables and figures are made from these lines; a line leads to its run and its evaluation by their ids.
"""

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


DEFINING = ("gamma",)  # options that the paper's rows differ in; with others changed, a reading is none of its rows


def readings(
    campaign: Campaign, metrics: Mapping[str, dict], warnings: Mapping[str, list[str]] = MappingProxyType({})
) -> pd.DataFrame:
    """All readings of a campaign, of every evaluation that is no probe; `metrics` has those of MLflow by our id, `warnings` what
    is dead in the network that was evaluated (pipeline.evaluation.silent_layers).

    Energy in uJ per image, over the timesteps executed, by convention (pipeline.evaluation.energy).
    """
    import pandas as pd

    lines = []
    for evaluation in campaign.evaluations:
        if evaluation.probe:
            continue
        told, common = metrics[evaluation.id], describe(campaign, evaluation)
        best, dead = best_on_test(campaign, evaluation), {"warnings": ", ".join(warnings.get(evaluation.id, []))}
        for t in range(1, evaluation.timesteps + 1):
            found = {"accuracy": told[f"accuracy_by_timestep_{t}"], "avg_tokens": told[f"average_tokens_by_timestep_{t}"]}
            found |= {f"energy_{name}": told[f"energy.{name}_{t}"] for name in CONVENTIONS}
            trained = t == evaluation.run.network["timesteps"]
            lines.append(common | {"exit": "", "timesteps": t} | found | {"best_on_test": best if trained else None} | dead)
        for name in evaluation.exits:
            found = {key: told[f"exit.{name}.{key}"] for key in ("accuracy", "timesteps")}
            found["avg_tokens"] = told[f"exit.{name}.average_tokens"]
            found |= {f"energy_{kind}": told[f"exit.{name}.energy.{kind}"] for kind in CONVENTIONS}
            lines.append(common | name_of(campaign, name, evaluation) | {"exit": name} | found | {"best_on_test": None} | dead)
    return pd.DataFrame(lines)


def of_row(readings: pd.DataFrame, row: Row) -> pd.DataFrame:
    """The readings of a row of Table 1: a line per seed."""
    own = readings[(readings.evaluation == row.evaluation) & (readings.exit == (row.exit or ""))]
    return own if row.exit else own[own.timesteps == (row.timesteps or own.timesteps.max())]


def doubts(readings: pd.DataFrame) -> str:
    """What is dead in the networks of readings, by their seed, in words; nothing where nothing is."""
    own = readings[readings.warnings != ""].drop_duplicates("evaluation_id")
    return "; ".join(f"seed {reading.seed}: {reading.warnings}" for reading in own.itertuples())


def describe(campaign: Campaign, evaluation: Evaluation) -> dict:
    """What all readings of an evaluation share."""
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
        "papers_setting": is_papers(run),
    }


def is_papers(run: Run) -> bool:
    """All official images, and the published recipe for the run and for what it starts from."""
    whole = run.data.official and run.data.train is None and run.data.test is None
    return whole and run.recipe == Recipe().model_dump() and (run.parent is None or is_papers(run.parent))


def name_of(campaign: Campaign, name: str, evaluation: Evaluation) -> dict:
    """The method of a reading; `as_in_paper` where it was trained as the paper's rows of that name are."""
    module = campaign.catalogue.methods[name]
    options = campaign.catalogue.method_options(evaluation.run.method, evaluation.options)
    plain = as_in_paper(campaign, evaluation) and evaluation.run.network["backbone"] == PAPERS_BACKBONE  # its table has no other
    return {"method": name, "title": baselines.label(module.TITLE, options), "as_in_paper": plain}


def as_in_paper(campaign: Campaign, evaluation: Evaluation) -> bool:
    """It has the options that it was trained with, and but for a gamma they are the paper's."""
    chosen = {key: value for key, value in evaluation.options.items() if key in DEFINING}
    as_trained = campaign.catalogue.method_options(evaluation.run.method, chosen).model_dump()
    return as_trained == evaluation.options == evaluation.run.options


def best_on_test(campaign: Campaign, evaluation: Evaluation) -> float | None:
    """Accuracy of the epoch that was best on the test set, where the evaluation is of what was trained."""
    if evaluation.options != evaluation.run.options:
        return None
    done = atomic_files.read_json(campaign.run_folder(evaluation.run) / "done.json", "best_on_test")
    return done["best_on_test"]["test_accuracy"]
