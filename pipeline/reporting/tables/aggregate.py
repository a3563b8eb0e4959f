"""Stage 4: records and evaluations into MLflow, and from there into the tables.  python -m pipeline.aggregate --scale smoke

MLflow is filled from the records first, then read; a number that differs from its record is refused. Tables carry our
ids, so they are the same bytes everywhere; MLflow's own ids stand in results/<scale>/links.csv.
"""

import json
import os
import shutil

import pandas as pd

from pipeline.campaign.campaign import TABLES, Campaign
from pipeline.campaign.freshness import mark_made
from pipeline.campaign.identity import Run
from pipeline.core import record as records
from pipeline.core.errors import UserError
from pipeline.mirror import fill, mlflow_run
from pipeline.reporting.tables import render
from pipeline.reporting.tables.readings import describe, readings
from pipeline.reporting.tables.savings import savings
from pipeline.reporting.tables.table1 import table1

ENERGY_KEYS = ("dataset", "architecture", "title", "evaluation", "evaluation_id", "run", "seed")


def aggregate(campaign: Campaign) -> pd.DataFrame:
    require(campaign)
    check_weights(campaign)
    try:
        fill.fill(campaign)
        found = tracked(campaign)
    except UserError:
        raise
    except Exception as error:  # a store can fail in any way
        raise mlflow_run.unreachable(error) from error
    check_against_records(campaign, found)
    warnings = {e.id: fill.evaluation_entries(campaign, e)[-1]["warnings"] for e in campaign.evaluations}
    read = readings(campaign, found.set_index("id")["metrics"], warnings)
    table = table1(campaign, read)
    texts = table_texts(campaign, read, table) | {
        "savings.csv": csv(savings(campaign, read)),
        "energy.csv": csv(energy(campaign)),
        "curves.csv": csv(curves(campaign)),
        "metrics.json": json.dumps(headline(table), indent=1, ensure_ascii=False) + "\n",
    }
    assert texts.keys() == set(TABLES)
    for name, text in texts.items():
        records.replace(campaign.folder / "tables" / name, text)
    records.replace(campaign.links, csv(found[["kind", "id", "mlflow_run"]]))
    shutil.rmtree(campaign.folder / "partial", ignore_errors=True)  # what pipeline.partial left
    mark_made(campaign, "tables")
    return table


def table_texts(campaign: Campaign, read: pd.DataFrame, table: pd.DataFrame) -> dict[str, str]:
    """Table 1 and the readings that it is made from, by the names of their files."""
    return {
        "readings.csv": csv(read),
        "table1.csv": csv(table),
        "table1.md": render.markdown(table, render.note(campaign)),
        "table1.tex": render.latex(table),
        "table1.html": render.html(table, evaluation_files(campaign), "../"),
    }


def csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, lineterminator="\n")


def require(campaign: Campaign) -> None:
    """Everything that the declaration asks for has been made."""
    for path in campaign.measured():
        if not os.path.exists(path):
            raise UserError(f"{path} is missing: run snakemake, which makes it, or train and evaluate first")


def check_weights(campaign: Campaign) -> None:
    """Each evaluation is of the weights that its run has now."""
    for run in campaign.measured_runs:
        if differ := weights_differ(campaign, run):
            raise UserError(differ)


def weights_differ(campaign: Campaign, run: Run) -> str:
    """In words, that a run's evaluations are not of the weights that it has now; nothing where they are."""
    done = records.read_json(campaign.run_folder(run) / "done.json", "weights_sha256", "best_on_test")
    if fill.results_of(campaign, run)["weights_sha256"] == done["weights_sha256"]:
        return ""
    file = campaign.results_file(run)
    return f"{file} was measured with other weights than run {run.id} has now: delete it, and it is measured again"


def tracked(campaign: Campaign) -> pd.DataFrame:
    """What MLflow says of this campaign's runs and evaluations: one row each, with the last value of each metric."""
    client = mlflow_run.open_client()
    wanted = {run.id: ("training", mlflow_run.started_at(fill.record_of(campaign, run))) for run in campaign.runs}
    for evaluation in campaign.evaluations:
        wanted[evaluation.id] = ("evaluation", mlflow_run.started_at(fill.evaluation_entries(campaign, evaluation)))
    experiment, rows, token = mlflow_run.experiment_of(client, campaign.experiment.scale), [], None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            our_id = run.data.tags.get(mlflow_run.RUN_TAG)
            kind, started = wanted.get(our_id, (None, None))
            if kind and run.info.start_time == started:
                rows.append({"kind": kind, "id": our_id, "mlflow_run": run.info.run_id, "metrics": run.data.metrics})
        token = page.token
        if not token:
            break
    return pd.DataFrame(rows, columns=["kind", "id", "mlflow_run", "metrics"]).sort_values(["kind", "id"], ignore_index=True)


def check_against_records(campaign: Campaign, found: pd.DataFrame) -> None:
    """MLflow holds exactly what the records hold."""
    metrics = found.set_index("id")["metrics"]
    for evaluation in campaign.evaluations:
        recorded = mlflow_run.flatten(fill.evaluation_entries(campaign, evaluation)[-1]["metrics"])
        compare(evaluation.id, dict.fromkeys(metrics[evaluation.id]) | recorded, metrics)  # and nothing that it lacks
    for run in campaign.runs:
        compare(run.id, mlflow_run.flatten(epochs_of(campaign, run)[-1]["metrics"]), metrics)


def epochs_of(campaign: Campaign, run: Run) -> list[dict]:
    return [entry for entry in fill.record_of(campaign, run) if entry["event"] == "epoch"]


def compare(our_id: str, recorded: dict[str, float], metrics: pd.Series) -> None:
    for key, value in recorded.items():
        if metrics[our_id].get(key) != value:
            raise UserError(
                f"MLflow says {key} = {metrics[our_id].get(key)} for {our_id}, its record says {value}: the record counts; "
                "delete that run in MLflow (or results/mlflow.db), and it is written again"
            )


def evaluation_files(campaign: Campaign) -> dict[str, str]:
    """Where a run's evaluations lie, from the scale's folder."""
    return {run.id: str(campaign.results_file(run).relative_to(campaign.folder)) for run in campaign.measured_runs}


def curves(campaign: Campaign) -> pd.DataFrame:
    """Every run over its epochs."""
    keys = ("train_loss", "heldout_accuracy", "test_accuracy", "average_tokens")
    return pd.DataFrame(
        {"run": run.id, "label": run.label, "seed": run.seed, "epoch": entry["epoch"]}
        | {key: entry["metrics"].get(key) for key in keys}
        for run in campaign.runs
        for entry in epochs_of(campaign, run)
    )


def energy(campaign: Campaign) -> pd.DataFrame:
    """What each layer of each evaluation costs, per image over all timesteps: operations, what drives them, and pJ.

    rate and count: share of non-zero inputs and mean input, over the operations; live_tokens: mean over timesteps.
    """
    lines = []
    for evaluation in campaign.evaluations:
        if not evaluation.probe:
            common = {key: x for key, x in describe(evaluation).items() if key in ENERGY_KEYS} | {
                "timesteps": evaluation.timesteps
            }
            layers = fill.results_of(campaign, evaluation.run)["evaluations"][evaluation.name]["layers"]
            lines += [common | energy_of(layer) for layer in layers]
    return pd.DataFrame(lines)


def energy_of(layer: dict) -> dict:
    operations = pd.Series(layer["operations"], dtype=float)
    share = operations / (operations.sum() or 1)
    told = {key: layer[key] for key in ("module", "block", "layer")}
    told |= {"operations": operations.sum(), "live_tokens": pd.Series(layer["live_tokens"], dtype=float).mean()}
    told |= {key: (share * pd.Series(layer[key], dtype=float)).sum() for key in ("rate", "count")}
    return told | {f"pJ_{name}": sum(values) for name, values in layer["pJ"].items()}


def headline(table: pd.DataFrame) -> dict:
    """Accuracy and tokens of the measured rows, nested as `dvc metrics` shows them."""
    found: dict = {}
    for row in table[table.n.notna()].itertuples():
        name = f"{row.evaluation} {row.exit or f'T{row.timesteps:.0f}'}"
        found.setdefault(row.dataset, {})[name] = {"accuracy": row.accuracy_mean, "avg_tokens": row.avg_tokens}
    return found
