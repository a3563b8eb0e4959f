"""Fill MLflow, compare it with the records, and write the tables of a whole campaign.

The command is pipeline.aggregate, whose text says how it is used and by which rules.
"""
# Tested in tests/workflow/test_results.py

import json
import os
import shutil

import pandas as pd

from pipeline.campaign import recorded
from pipeline.campaign.campaign import TABLES, Campaign
from pipeline.campaign.freshness import mark_made
from pipeline.campaign.recorded import epochs_of, weights_differ
from pipeline.core import atomic_files
from pipeline.core.errors import UserError
from pipeline.mirror import fill
from pipeline.mirror.compare import check_against_records, tracked
from pipeline.mirror.store_failures import store_failure
from pipeline.reporting.tables import table1_formats
from pipeline.reporting.tables.energy_table import energy
from pipeline.reporting.tables.readings import readings
from pipeline.reporting.tables.savings import savings
from pipeline.reporting.tables.table1 import table1


def aggregate(campaign: Campaign) -> pd.DataFrame:
    """Write all tables of a campaign; return Table 1.

    Raises UserError where a file is missing or of other weights, MLflow can't be reached, or its numbers are not the records'.
    """
    require(campaign)
    check_weights(campaign)
    try:
        fill.fill(campaign)
        mlflow_runs = tracked(campaign)
    except Exception as error:  # a store can fail in any way
        raise store_failure(error) from error
    check_against_records(campaign, mlflow_runs)
    entries = {e.id: recorded.evaluation_entries(campaign, e)[-1] for e in campaign.evaluations}
    metrics = {name: recorded.flatten(entry["metrics"]) for name, entry in entries.items()}  # MLflow's, with all their digits
    rows = readings(campaign, metrics, {name: entry["warnings"] for name, entry in entries.items()})
    table = table1(campaign, rows)
    texts = table_texts(campaign, rows, table) | {
        "savings.csv": csv(savings(campaign, rows)),
        "energy.csv": csv(energy(campaign)),
        "curves.csv": csv(curves(campaign)),
        "metrics.json": json.dumps(headline(table), indent=1, ensure_ascii=False) + "\n",
    }
    assert texts.keys() == set(TABLES)
    for name, text in texts.items():
        atomic_files.replace(campaign.folder / "tables" / name, text)
    atomic_files.replace(campaign.links, csv(mlflow_runs[["kind", "id", "mlflow_run"]]))
    shutil.rmtree(campaign.folder / "partial", ignore_errors=True)  # pipeline.partial's tables
    mark_made(campaign, "tables")
    return table


def table_texts(campaign: Campaign, rows: pd.DataFrame, table: pd.DataFrame) -> dict[str, str]:
    """Write Table 1 and the rows of readings.csv that it is made from as texts, by the names of their files."""
    return {
        "readings.csv": csv(rows),
        "table1.csv": csv(table),
        "table1.md": table1_formats.markdown(table, table1_formats.note(campaign)),
        "table1.tex": table1_formats.latex(table),
        "table1.html": table1_formats.html(table, evaluation_files(campaign), "../"),
    }


def csv(table: pd.DataFrame) -> str:
    """Write a table as CSV without its index."""
    return table.to_csv(index=False, lineterminator="\n")


def require(campaign: Campaign) -> None:
    """Raise UserError where a file that the declaration asks for is missing."""
    for path in campaign.table_inputs():
        if not os.path.exists(path):
            raise UserError(f"{path} is missing: run snakemake, which makes it, or train and evaluate first")


def check_weights(campaign: Campaign) -> None:
    """Raise UserError where a run's evaluations are not of the weights that it has now."""
    for run in campaign.measured_runs:
        if differ := weights_differ(campaign, run):
            raise UserError(differ)


def evaluation_files(campaign: Campaign) -> dict[str, str]:
    """Map the id of each evaluated run to the file of its evaluations, relative to the scale's folder."""
    return {run.id: str(campaign.results_file(run).relative_to(campaign.folder)) for run in campaign.measured_runs}


def curves(campaign: Campaign) -> pd.DataFrame:
    """Tabulate every run over its epochs: loss, held-out and test accuracy, tokens computed; a row per run and epoch."""
    keys = ("train_loss", "heldout_accuracy", "test_accuracy", "average_tokens")
    return pd.DataFrame(
        {"run": run.id, "label": run.label, "seed": run.seed, "epoch": entry["epoch"]}
        | {key: entry["metrics"].get(key) for key in keys}
        for run in campaign.runs
        for entry in epochs_of(campaign, run)
    )


def headline(table: pd.DataFrame) -> dict:
    """Collect accuracy and tokens of the measured rows, nested as `dvc metrics` shows them."""
    metrics: dict = {}
    for row in table[table.n.notna()].itertuples():
        name = f"{row.evaluation} {row.exit or f'T{row.timesteps:.0f}'}"
        metrics.setdefault(row.dataset, {})[name] = {"accuracy": row.accuracy_mean, "avg_tokens": row.avg_tokens}
    return metrics
