"""Mirror a run in MLflow: live while it trains, without duplicates, and filled in wherever a server was away.

The record is the truth: losing MLflow never stops or changes a run. The store is results/mlflow.db unless
MLFLOW_TRACKING_URI names a server.
"""

import os
import sys
import time

from pipeline.mirror.checkout import checkout_id
from pipeline.mirror.mlflow_store import (
    CHECKOUT_TAG,
    PARENT_TAG,
    RUN_TAG,
    campaign_run,
    experiment_of,
    open_client,
    runs_of,
    started_at,
)
from pipeline.mirror.rounding import rounded
from pipeline.mirror.store_address import STORE, tracking_address
from pipeline.mirror.store_failures import live_failure

RETRY_SECONDS = 300  # after a failure, until a live mirror tries again
ENDS = {"end": "FINISHED", "failed": "FAILED"}  # MLflow's status after the last event of a record


class Mirror:
    """A run or evaluation of this checkout as a run in MLflow, found by its tags. `push` adds what MLflow lacks of it."""

    def __init__(self, scale: str, run_id: str, name: str, params: dict, tags: dict, dataset: dict):
        self.scale, self.run_id, self.name = scale, run_id, name
        self.params, self.tags, self.dataset = params, tags, dataset
        self.client = self.mlflow_run = None
        self.logged: set[tuple[str, int]] = set()  # metrics and steps that MLflow has
        self.failed_at, self.live_disabled = -RETRY_SECONDS, False

    def live(self, entries: list[dict]) -> None:
        """Push, and catch every failure of MLflow, so the training goes on: what is missing is filled in later.

        After a failure it waits RETRY_SECONDS, but always pushes the end of a record, with all that a server missed before.
        """
        if self.live_disabled or (time.monotonic() - self.failed_at < RETRY_SECONDS and entries[-1]["event"] not in ENDS):
            return
        if os.environ.get("SLURM_JOB_ID") and not tracking_address():
            self.live_disabled = True
            self.say(
                f"{STORE} is not safe with many machines: set MLFLOW_TRACKING_URI to watch runs live; it is filled with the tables"
            )
            return
        try:
            self.push(entries)
        except Exception as error:  # a server can fail in any way, and none may stop a run
            self.client, self.failed_at = None, time.monotonic()  # connect again: the server may come back with less than it had
            self.say(live_failure(error))

    def say(self, line: str) -> None:
        """Print a line about tracking to stderr."""
        print(f"tracking: {line}", file=sys.stderr, flush=True)

    def push(self, entries: list[dict]) -> None:
        """Log the metrics of entries that MLflow lacks, rounded, with the times of the record, then warnings and status."""
        from mlflow.entities import Metric

        if self.client is None:
            self.connect(entries)
        metrics = []
        for entry in entries:
            step, stamp = entry.get("epoch", 0), int(entry["time"] * 1000)
            new_metrics = {k: v for k, v in rounded(entry.get("metrics", {})).items() if (k, step) not in self.logged}
            metrics += [Metric(key, value, stamp, step) for key, value in new_metrics.items()]
        for start in range(0, len(metrics), 500):
            batch = metrics[start : start + 500]
            self.client.log_batch(self.mlflow_run.info.run_id, metrics=batch)
            self.logged |= {(metric.key, metric.step) for metric in batch}
        for entry in entries:
            if entry["event"] == "channel_0" and ("channel_0", entry["epoch"]) not in self.logged:
                self.client.log_dict(self.mlflow_run.info.run_id, entry["histogram"], f"channel_0/epoch_{entry['epoch']}.json")
                self.logged.add(("channel_0", entry["epoch"]))
        self.mark(entries)

    def mark(self, entries: list[dict]) -> None:
        """Tag the run with its last warnings and its failure, and set its status; the failure is cleared once it goes on."""
        last = next((entry for entry in reversed(entries) if "metrics" in entry), {})
        tags = {"warnings": "; ".join(last.get("warnings", [])), "failed": entries[-1].get("reason", "")}
        self.tag({key: value[:5000] for key, value in tags.items() if value or key in self.mlflow_run.data.tags})
        status, run_id = ENDS.get(entries[-1]["event"]), self.mlflow_run.info.run_id
        if status:
            self.client.set_terminated(run_id, status, int(entries[-1]["time"] * 1000))

    def connect(self, entries: list[dict]) -> None:
        """Open the store, find or create our run in it, and read which metrics it has."""
        client = open_client()
        self.mlflow_run = self.find(client, experiment_of(client, self.scale), started_at(entries))
        if not self.mlflow_run.data.params:  # new, or its process was killed before it had any
            self.describe(client)
        if self.mlflow_run.info.status == "FAILED":
            client.update_run(self.mlflow_run.info.run_id, "RUNNING")
        self.logged = set()
        for key in self.mlflow_run.data.metrics:
            self.logged |= {(key, metric.step) for metric in client.get_metric_history(self.mlflow_run.info.run_id, key)}
        self.client = client
        self.retag()

    def find(self, client, experiment: str, started: int):
        """Find our run, or create it. Of duplicates, as a request without an answer can leave, all but one are deleted.

        A run of a version that named no checkout is replaced: its numbers are not rounded.
        """
        attempts = self.find_all(client, experiment, started)
        for outdated in [run for run in attempts if CHECKOUT_TAG not in run.data.tags]:
            client.delete_run(outdated.info.run_id)
            attempts.remove(outdated)
        if not attempts:
            own_tags = {RUN_TAG: self.run_id} | self.place_tags(client, experiment)
            client.create_run(experiment, started, self.tags | own_tags, self.name)
            attempts = self.find_all(client, experiment, started)
        for duplicate in attempts[1:]:
            client.delete_run(duplicate.info.run_id)
        return attempts[0]

    def find_all(self, client, experiment: str, started: int) -> list:
        """List MLflow's runs of this checkout, our id and record (by its start, in ms), in an order that all processes share."""
        runs = runs_of(client, experiment, self.run_id)
        return [run for run in runs if run.info.start_time == started]

    def describe(self, client) -> None:
        """Log the data set, then the parameters: a run that has parameters has both."""
        from mlflow.entities import Dataset, DatasetInput, Param

        run_id = self.mlflow_run.info.run_id
        inputs = [DatasetInput(Dataset(**self.dataset))]
        try:
            client.log_inputs(run_id, datasets=inputs)
        except Exception:  # another run entered the same data set at this very moment, and now it is there
            client.log_inputs(run_id, datasets=inputs)
        client.log_batch(run_id, params=[Param(key, str(value)[:6000]) for key, value in self.params.items()])

    def retag(self) -> None:
        """Update the tags: the rows of a table may have changed, or the parent been created twice."""
        self.tag(self.tags | self.place_tags(self.client, self.mlflow_run.info.experiment_id))

    def place_tags(self, client, experiment: str) -> dict[str, str]:
        """Give the tags that say which checkout and which campaign a run belongs to."""
        return {CHECKOUT_TAG: checkout_id(), PARENT_TAG: campaign_run(client, experiment, self.scale)}

    def tag(self, tags: dict[str, str]) -> None:
        """Set the tags that differ from those MLflow has."""
        known_tags = self.mlflow_run.data.tags
        for key, value in tags.items():
            if known_tags.get(key) != value:
                self.client.set_tag(self.mlflow_run.info.run_id, key, value)
                known_tags[key] = value
