"""Stage 4: records and evaluations into MLflow, and from there into Table 1.  python -m pipeline.aggregate --scale smoke

MLflow is filled from the records first, then read; a number that differs from its record is refused. Tables carry our
ids, so they are the same bytes everywhere; MLflow's own ids stand in links.csv.
"""

import argparse
import os

import pandas as pd

from pipeline import declaration, tracking
from pipeline import record as records
from pipeline.campaign import Campaign, Evaluation, Run, common_arguments, open_campaign
from pipeline.declaration import Row
from pipeline.errors import UserError, run_stage

NOTE = (
    "Avg. tokens: tokens computed per block and timestep over the 64 that patch splitting gives. Acc: last epoch, mean and "
    "standard deviation over seeds (n), evaluated in float32. Paper protocol: the epoch that is best on the test set, which "
    "favours it. A retrained row has had its parent's training and its own. Scale: {scale}, {about}."
)


def aggregate(campaign: Campaign) -> pd.DataFrame:
    require(campaign)
    check_weights(campaign)
    try:
        tracking.fill(campaign)
        found = tracked(campaign)
    except UserError:
        raise
    except Exception as error:  # a store can fail in any way
        raise tracking.unreachable(error) from error
    check_against_records(campaign, found)
    table = table1(campaign, found)
    folder = campaign.folder / "tables"
    records.replace(folder / "table1.csv", table.to_csv(index=False, lineterminator="\n"))
    note = NOTE.format(scale=campaign.experiment.scale, about=campaign.experiment.about)
    records.replace(folder / "table1.md", f"{markdown(table)}\n\n{note}\n")
    records.replace(folder / "links.csv", found[["kind", "id", "mlflow_run"]].to_csv(index=False, lineterminator="\n"))
    mark_made(campaign, "table1")
    return table


def require(campaign: Campaign) -> None:
    """Everything that the declaration asks for has been made."""
    for path in campaign.measured():
        if not os.path.exists(path):
            raise UserError(f"{path} is missing: run snakemake, which makes it, or train and evaluate first")


def check_weights(campaign: Campaign) -> None:
    """Each evaluation is of the weights that its run has now."""
    for evaluation in campaign.evaluations:
        done = records.read_json(campaign.run_folder(evaluation.run) / "done.json", "weights_sha256", "best_on_test")
        if result_of(campaign, evaluation)["weights_sha256"] != done["weights_sha256"]:
            raise UserError(
                f"{campaign.evaluation_folder(evaluation)} was measured with other weights than run {evaluation.run.id} has now: delete it, and it is measured again"
            )


def tracked(campaign: Campaign) -> pd.DataFrame:
    """What MLflow says of this campaign's runs and evaluations: one row each, with the last value of each metric."""
    client = tracking.open_client()
    wanted = {run.id: ("training", tracking.started_at(record_of(campaign, run))) for run in campaign.runs}
    for evaluation in campaign.evaluations:
        wanted[evaluation.id] = ("evaluation", tracking.started_at(tracking.evaluation_entries(result_of(campaign, evaluation))))
    experiment, rows, token = tracking.experiment_of(client, campaign.experiment.scale), [], None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            our_id = run.data.tags.get(tracking.RUN_TAG)
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
        compare(evaluation.id, tracking.flatten(result_of(campaign, evaluation)["metrics"]), metrics)
    for run in campaign.runs:
        last = [entry for entry in record_of(campaign, run) if entry["event"] == "epoch"][-1]
        compare(run.id, tracking.flatten(last["metrics"]), metrics)


def record_of(campaign: Campaign, run: Run) -> list[dict]:
    return records.read(campaign.run_folder(run) / "record.jsonl")


def result_of(campaign: Campaign, evaluation: Evaluation) -> dict:
    return records.read_json(campaign.evaluation_folder(evaluation) / "result.json", "weights_sha256", "metrics", "time")


def compare(our_id: str, recorded: dict[str, float], metrics: pd.Series) -> None:
    for key, value in recorded.items():
        if metrics[our_id].get(key) != value:
            raise UserError(
                f"MLflow says {key} = {metrics[our_id].get(key)} for {our_id}, its record says {value}: the record counts; "
                "delete that run in MLflow (or results/mlflow.db), and it is written again"
            )


def table1(campaign: Campaign, found: pd.DataFrame) -> pd.DataFrame:
    """Table 1: a line per declared row and data set, mean and sample standard deviation over seeds."""
    metrics = found.set_index("id")["metrics"]
    lines = []
    for row in campaign.experiment.table1:
        evaluations = [e for e in campaign.evaluations if e.name == row.evaluation]
        values = pd.DataFrame([reading(campaign, e, row, metrics) for e in evaluations])
        lines.append(
            identify(campaign, evaluations[0], row) | summarise(values) | {"run_ids": " ".join(e.run.id for e in evaluations)}
        )
    return pd.DataFrame(lines)


def reading(campaign: Campaign, evaluation: Evaluation, row: Row, metrics: pd.Series) -> dict:
    """One seed's numbers after the row's timesteps."""
    t = row.timesteps or evaluation.timesteps
    done = records.read_json(campaign.run_folder(evaluation.run) / "done.json", "weights_sha256", "best_on_test")
    told = metrics[evaluation.id]
    found = {"accuracy": told[f"accuracy_by_timestep_{t}"], "tokens": told[f"average_tokens_by_timestep_{t}"], "best": None}
    same = (
        evaluation.split == "test" and t == evaluation.run.network["timesteps"] and evaluation.options == evaluation.run.options
    )
    return found | ({"best": done["best_on_test"]["test_accuracy"]} if same else {})


def identify(campaign: Campaign, evaluation: Evaluation, row: Row) -> dict:
    run = evaluation.run
    method = declaration.method(run.method)
    return {
        "dataset": declaration.discovered("pipeline.datasets", run.data.name, "dataset").TITLE,
        "method": method.label(method.Options(**evaluation.options)),
        "architecture": run.architecture,
        "timesteps": row.timesteps or evaluation.timesteps,
        "scale": campaign.experiment.scale,
        "origin": f"measured here on {run.data.origin}",
    }


def summarise(values: pd.DataFrame) -> dict:
    """Mean and spread over seeds; one seed has no spread."""
    return {
        "avg_tokens": round(values.tokens.mean(), 4),
        "accuracy_mean": round(values.accuracy.mean(), 2),
        "accuracy_std": round(values.accuracy.std(), 2),
        "n": len(values),
        "paper_protocol_mean": round(values.best.astype(float).mean(), 2),
    }


def markdown(table: pd.DataFrame) -> str:
    """The table for readers: columns as in the paper, then where each number comes from."""
    lines = [
        "| Dataset | Method | Architecture | Avg. tokens | T | Acc (%) | n | paper protocol (%) | origin | runs |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        spread = "" if pd.isna(row.accuracy_std) else f" ± {row.accuracy_std:.2f}"
        best = "" if pd.isna(row.paper_protocol_mean) else f"{row.paper_protocol_mean:.2f}"
        cells = [
            row.dataset,
            row.method,
            row.architecture,
            f"×{row.avg_tokens:.4g}",
            row.timesteps,
            f"{row.accuracy_mean:.2f}{spread}",
            row.n,
            best,
        ]
        lines.append("| " + " | ".join(map(str, [*cells, f"{row.origin}; scale {row.scale}", row.run_ids])) + " |")
    return "\n".join(lines)


def mark_made(campaign: Campaign, product: str) -> None:
    """Leave the file that says what a product was made from, and drop those of earlier sets."""
    path = campaign.made_from(product)
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f"{product}-*.json"):
        old.unlink()
    made = {"product": product, "runs": [run.id for run in campaign.runs], "evaluations": [e.id for e in campaign.evaluations]}
    records.replace_json(path, made)


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.aggregate", description=__doc__)
    common_arguments(parser)
    options = parser.parse_args()
    print(markdown(aggregate(open_campaign(options.scale, options.data))))


if __name__ == "__main__":
    run_stage(main, "aggregate")
