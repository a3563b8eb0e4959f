"""Read a campaign back from MLflow, and refuse a number that differs from its record."""

import pandas as pd

from pipeline.campaign import recorded
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.recorded import epochs_of
from pipeline.core.errors import UserError
from pipeline.mirror import mlflow_store


def tracked(campaign: Campaign) -> pd.DataFrame:
    """What MLflow says of this campaign's runs and evaluations: one row each, with the last value of each metric."""
    client = mlflow_store.open_client()
    wanted = {run.id: ("training", mlflow_store.started_at(recorded.record_of(campaign, run))) for run in campaign.runs}
    for evaluation in campaign.evaluations:
        wanted[evaluation.id] = ("evaluation", mlflow_store.started_at(recorded.evaluation_entries(campaign, evaluation)))
    experiment, rows, token = mlflow_store.experiment_of(client, campaign.experiment.scale), [], None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            our_id = run.data.tags.get(mlflow_store.RUN_TAG)
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
        entries = recorded.evaluation_entries(campaign, evaluation)
        compare(
            evaluation.id, dict.fromkeys(metrics[evaluation.id]) | recorded.flatten(entries[-1]["metrics"]), metrics
        )  # and nothing that it lacks
    for run in campaign.runs:
        compare(run.id, recorded.flatten(epochs_of(campaign, run)[-1]["metrics"]), metrics)


def compare(our_id: str, recorded: dict[str, float], metrics: pd.Series) -> None:
    for key, value in recorded.items():
        if metrics[our_id].get(key) != value:
            raise UserError(
                f"MLflow says {key} = {metrics[our_id].get(key)} for {our_id}, its record says {value}: the record counts; "
                "delete that run in MLflow (or results/mlflow.db), and it is written again"
            )
