"""Read a campaign back from MLflow, and refuse a number that differs from its record."""
# Tested in tests/workflow/test_results.py

import pandas as pd

from pipeline.campaign import recorded
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.recorded import epochs_of
from pipeline.core.errors import UserError
from pipeline.mirror import mlflow_store
from pipeline.mirror.rounding import round_metric, rounded


def tracked(campaign: Campaign) -> pd.DataFrame:
    """Read a campaign's runs and evaluations of this checkout from MLflow: one row each, with the last value of each metric."""
    client = mlflow_store.open_client()
    expected = {run.id: ("training", mlflow_store.started_at(recorded.record_of(campaign, run))) for run in campaign.runs}
    for evaluation in campaign.evaluations:
        expected[evaluation.id] = ("evaluation", mlflow_store.started_at(recorded.evaluation_entries(campaign, evaluation)))
    experiment, rows, token = mlflow_store.experiment_of(client, campaign.experiment.scale), [], None
    while True:
        page = client.search_runs([experiment], mlflow_store.own_runs(), max_results=1000, page_token=token)
        for run in page:
            our_id = run.data.tags.get(mlflow_store.RUN_TAG)
            kind, started = expected.get(our_id, (None, None))
            if kind and run.info.start_time == started:
                rows.append({"kind": kind, "id": our_id, "mlflow_run": run.info.run_id, "metrics": run.data.metrics})
        token = page.token
        if not token:
            break
    return pd.DataFrame(rows, columns=["kind", "id", "mlflow_run", "metrics"]).sort_values(["kind", "id"], ignore_index=True)


def check_against_records(campaign: Campaign, rows: pd.DataFrame) -> None:
    """Check that the rows of `tracked` hold the metrics of the records, rounded. Raises UserError for the first that differs."""
    metrics = rows.set_index("id")["metrics"]
    for evaluation in campaign.evaluations:
        entries, ours = recorded.evaluation_entries(campaign, evaluation), metrics.get(evaluation.id, {})
        # None for each metric of MLflow that the record lacks: it differs
        compare(evaluation.id, dict.fromkeys(ours) | rounded(entries[-1]["metrics"]), ours)
    for run in campaign.runs:
        compare(run.id, rounded(epochs_of(campaign, run)[-1]["metrics"]), metrics.get(run.id, {}))


def compare(our_id: str, recorded_metrics: dict[str, float | None], metrics: dict[str, float]) -> None:
    """Raise UserError for the first recorded metric of `our_id` that differs from MLflow's, which are rounded here."""
    for key, value in recorded_metrics.items():
        told = metrics.get(key)
        if told is None or round_metric(key, told) != value:
            raise UserError(
                f"MLflow says {key} = {told} for {our_id}, its record says {value}: the record counts; "
                "delete that run in MLflow (or results/mlflow.db), and it is written again"
            )
