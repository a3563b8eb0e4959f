"""MLflow mirrors the records: live while a run trains, without doubles, and filled in wherever a server was away.

The record is the truth: losing MLflow never stops or changes a run. The store is results/mlflow.db unless
MLFLOW_TRACKING_URI names a server.  python -m pipeline.tracking --scale smoke fills the store from the records.
"""

import argparse
import fcntl
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from pipeline import record as records
from pipeline.campaign import RESULTS, Campaign, common_arguments, open_campaign
from pipeline.errors import UserError, run_stage

STORE = RESULTS / "mlflow.db"
ARTIFACTS = RESULTS / "mlartifacts"
RETRY_SECONDS = 300  # after a failure a live mirror waits as long before it tries again
RUN_TAG = "at_snn.id"  # our id; MLflow's own can't be chosen


@contextmanager
def locked(path: Path):
    """One process at a time, on this machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def open_client():
    """A client of the store, created once if need be: parallel first use would corrupt a sqlite store."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from mlflow import MlflowClient

    address = os.environ.get("MLFLOW_TRACKING_URI")
    if address:
        return MlflowClient(address)
    with locked(Path(tempfile.gettempdir()) / f"at-snn-store-{os.getuid()}.lock"):
        STORE.parent.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(f"sqlite:///{STORE.resolve()}")
        client.search_experiments(max_results=1)  # creates the tables
    return client


class Mirror:
    """One run of ours in MLflow, found by its tag. `push` adds what MLflow does not have of it."""

    def __init__(self, scale: str, run_id: str, params: dict, tags: dict):
        self.scale, self.run_id = scale, run_id
        self.name = run_id if tags["kind"] == "training" else f"{tags['kind']} {run_id}"
        self.params, self.tags = params, tags
        self.client = self.mlflow_run = None
        self.known: set[tuple[str, int]] = set()  # metrics and steps that MLflow has
        self.lost_at = -RETRY_SECONDS

    def live(self, entries: list[dict]) -> None:
        """Push, and let no failure of MLflow reach the training: what is missing is filled in later."""
        if time.monotonic() - self.lost_at < RETRY_SECONDS:
            return
        try:
            self.push(entries)
        except Exception as error:  # a server can fail in any way, and none may stop a run
            self.lost_at = time.monotonic()
            print(
                f"tracking: MLflow is away ({type(error).__name__}: {str(error)[:200]}); the record goes on",
                file=sys.stderr,
                flush=True,
            )

    def push(self, entries: list[dict]) -> None:
        """Metrics of entries that MLflow has not seen, with the times of the record; the status at the end."""
        from mlflow.entities import Metric

        if self.client is None:
            self.connect(entries)
        metrics = []
        for entry in entries:
            step, stamp = entry.get("epoch", 0), int(entry["time"] * 1000)
            fresh = {k: v for k, v in flatten(entry.get("metrics", {})).items() if (k, step) not in self.known}
            metrics += [Metric(key, value, stamp, step) for key, value in fresh.items()]
        for start in range(0, len(metrics), 500):
            batch = metrics[start : start + 500]
            self.client.log_batch(self.mlflow_run.info.run_id, metrics=batch)
            self.known |= {(metric.key, metric.step) for metric in batch}
        for entry in entries:
            if entry["event"] == "channel_0" and ("channel_0", entry["epoch"]) not in self.known:
                self.known.add(("channel_0", entry["epoch"]))
                self.client.log_dict(self.mlflow_run.info.run_id, entry["histogram"], f"channel_0/epoch_{entry['epoch']}.json")
        if entries and entries[-1]["event"] == "end":
            self.client.set_terminated(self.mlflow_run.info.run_id, "FINISHED", int(entries[-1]["time"] * 1000))

    def connect(self, entries: list[dict]) -> None:
        client = open_client()
        experiment = experiment_of(client, self.scale)
        started = started_at(entries)
        same = client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{self.run_id}'")
        found = next((run for run in same if run.info.start_time == started), None)  # others: attempts with another record
        self.mlflow_run = found or client.create_run(experiment, started, {RUN_TAG: self.run_id, **self.tags}, self.name)
        if not found:
            from mlflow.entities import Param

            params = [Param(key, str(value)[:6000]) for key, value in self.params.items()]
            client.log_batch(self.mlflow_run.info.run_id, params=params)
        for key in self.mlflow_run.data.metrics:
            self.known |= {(key, metric.step) for metric in client.get_metric_history(self.mlflow_run.info.run_id, key)}
        self.client = client


def started_at(entries: list[dict]) -> int:
    """When a record began, in milliseconds since 1970: with our id, what tells its run in MLflow from other attempts."""
    return int(entries[0]["time"] * 1000)


def experiment_of(client, scale: str) -> str:
    """The id of MLflow's experiment for a scale."""
    name = f"at-snn/{scale}"
    found = client.get_experiment_by_name(name)
    if found:
        return found.experiment_id
    own = not os.environ.get("MLFLOW_TRACKING_URI")
    try:
        return client.create_experiment(name, (ARTIFACTS.resolve() / scale).as_uri() if own else None)
    except Exception:  # another process was faster
        found = client.get_experiment_by_name(name)
        if not found:
            raise
        return found.experiment_id


def flatten(metrics: dict) -> dict[str, float]:
    """Numbers by name; a list becomes name_1, name_2, ..."""
    flat = {}
    for key, value in metrics.items():
        if isinstance(value, list):
            flat |= {f"{key}_{i}": float(x) for i, x in enumerate(value, start=1)}
        elif value is not None:
            flat[key] = float(value)
    return flat


def run_mirror(campaign: Campaign, run, start: dict) -> Mirror:
    """The mirror of a training; `start` is the first event of its record."""
    params = {"method": run.method, "seed": run.seed, "dataset": run.data.name, "architecture": run.architecture}
    params |= {f"option.{k}": v for k, v in run.options.items()} | {f"network.{k}": v for k, v in run.network.items()}
    params |= {f"recipe.{k}": v for k, v in run.recipe.items()} | {
        "threads": run.threads,
        "parent": run.parent.id if run.parent else "",
    }
    made = start["provenance"]
    params |= {"data.id": run.data.id, "data.origin": run.data.origin, "precision": made["precision"], "device": made["device"]}
    params |= {f"version.{k}": v for k, v in made["versions"].items()}
    tags = {
        "kind": "training",
        "scale": campaign.experiment.scale,
        "label": run.label,
        "git.commit": made["git"]["commit"] or "unknown",
    }
    return Mirror(campaign.experiment.scale, run.id, params, tags)


def evaluation_mirror(campaign: Campaign, evaluation) -> Mirror:
    """The mirror of an evaluation, a run of its own in MLflow."""
    run = evaluation.run
    params = {"method": run.method, "seed": run.seed, "dataset": run.data.name, "architecture": run.architecture}
    params |= {f"option.{k}": v for k, v in evaluation.options.items()} | {
        "split": evaluation.split,
        "timesteps": evaluation.timesteps,
    }
    params |= {"run": run.id, "data.origin": run.data.origin}
    return Mirror(
        campaign.experiment.scale,
        evaluation.id,
        params,
        {"kind": "evaluation", "scale": campaign.experiment.scale, "label": evaluation.name},
    )


def evaluation_entries(result: dict) -> list[dict]:
    return [{"event": "end", "time": result["time"], "metrics": result["metrics"]}]


def fill(campaign: Campaign) -> int:
    """Bring MLflow up to date with every record and evaluation there is; returns how many there are."""
    count = 0
    for run in campaign.runs:
        path = campaign.run_folder(run) / "record.jsonl"
        if path.exists():
            entries = records.read(path)
            run_mirror(campaign, run, entries[0]).push(entries)
            count += 1
    for evaluation in campaign.evaluations:
        path = campaign.evaluation_folder(evaluation) / "result.json"
        if path.exists():
            evaluation_mirror(campaign, evaluation).push(evaluation_entries(records.read_json(path, "time", "metrics")))
            count += 1
    return count


def unreachable(error: Exception) -> UserError:
    reason = str(error).splitlines()[0][:200] if str(error) else ""
    store = os.environ.get("MLFLOW_TRACKING_URI") or STORE
    return UserError(
        f"MLflow's store {store} can't be used ({type(error).__name__}: {reason}): start the server or unset MLFLOW_TRACKING_URI; "
        f"a damaged {STORE} can be deleted, it is filled again from the records"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.tracking", description=__doc__)
    common_arguments(parser)
    options = parser.parse_args()
    campaign = open_campaign(options.scale, options.data)
    try:
        print(f"MLflow holds {fill(campaign)} records of scale {options.scale}")
    except UserError:
        raise
    except Exception as error:
        raise unreachable(error) from error


if __name__ == "__main__":
    run_stage(main, "tracking")
