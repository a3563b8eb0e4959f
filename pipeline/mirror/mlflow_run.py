"""A run of ours in MLflow: written live while it trains, without doubles, and filled in wherever a server was away.

The record is the truth: losing MLflow never stops or changes a run. The store is results/mlflow.db unless
MLFLOW_TRACKING_URI names a server.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from pipeline.campaign.campaign import RESULTS
from pipeline.core.errors import UserError
from pipeline.core.record import beside

STORE = RESULTS / "mlflow.db"
ARTIFACTS = RESULTS / "mlartifacts"
RETRY_SECONDS = 300  # after a failure a live mirror waits as long before it tries again
RUN_TAG = "at_snn.id"  # our id; MLflow's own can't be chosen
ENDS = {"end": "FINISHED", "failed": "FAILED"}  # MLflow's status after the last event of a record
PARENT_TAG = "mlflow.parentRunId"  # nests a run under another one in MLflow's pages


@contextmanager
def store_lock():
    """One process at a time, on this machine: what is found or created must not be created twice."""
    path = Path(tempfile.gettempdir()) / f"at-snn-store-{os.getuid()}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def open_client():
    """A client of the store, created once if need be: parallel first use would corrupt a sqlite store."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient

    address = os.environ.get("MLFLOW_TRACKING_URI")
    if address:
        return MlflowClient(address)
    with store_lock():
        if not STORE.exists():
            create_store()
    return MlflowClient(f"sqlite:///{STORE.resolve()}")


def create_store() -> None:
    """The sqlite store with its tables, complete or absent: MLflow does not go on with tables of which some are there."""
    from mlflow import MlflowClient

    STORE.parent.mkdir(parents=True, exist_ok=True)
    folder = beside(STORE)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    new = folder / f"{time.monotonic_ns()}.db"  # MLflow remembers what it has made, by its name
    try:
        MlflowClient(f"sqlite:///{new.resolve()}").search_experiments(max_results=1)  # creates the tables
        os.replace(new, STORE)
    finally:
        shutil.rmtree(folder)


class Mirror:
    """One run of ours in MLflow, found by its tag. `push` adds what MLflow does not have of it."""

    def __init__(self, scale: str, run_id: str, name: str, params: dict, tags: dict, dataset: dict):
        self.scale, self.run_id, self.name = scale, run_id, name
        self.params, self.tags, self.dataset = params, tags, dataset
        self.client = self.mlflow_run = None
        self.known: set[tuple[str, int]] = set()  # metrics and steps that MLflow has
        self.lost_at, self.not_live = -RETRY_SECONDS, False

    def live(self, entries: list[dict]) -> None:
        """Push, and let no failure of MLflow reach the training: what is missing is filled in later.

        The end of a record is tried in any case: a server that was away in between has all of it then.
        """
        if self.not_live or (time.monotonic() - self.lost_at < RETRY_SECONDS and entries[-1]["event"] not in ENDS):
            return
        if os.environ.get("SLURM_JOB_ID") and not os.environ.get("MLFLOW_TRACKING_URI"):
            self.not_live = True
            self.say(
                f"{STORE} is not safe with many machines: set MLFLOW_TRACKING_URI to watch runs live; it is filled with the tables"
            )
            return
        try:
            self.push(entries)
        except Exception as error:  # a server can fail in any way, and none may stop a run
            self.client, self.lost_at = None, time.monotonic()  # it may come back with less than it had
            self.say(f"MLflow is away ({type(error).__name__}: {str(error)[:200]}); the record goes on")

    def say(self, line: str) -> None:
        print(f"tracking: {line}", file=sys.stderr, flush=True)

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
                self.client.log_dict(self.mlflow_run.info.run_id, entry["histogram"], f"channel_0/epoch_{entry['epoch']}.json")
                self.known.add(("channel_0", entry["epoch"]))
        self.mark(entries)

    def mark(self, entries: list[dict]) -> None:
        """Warnings and failures as tags, and the status: what a run failed by is forgotten once it goes on."""
        last = next((entry for entry in reversed(entries) if "metrics" in entry), {})
        tags = {"warnings": "; ".join(last.get("warnings", [])), "failed": entries[-1].get("reason", "")}
        self.tag({key: value[:5000] for key, value in tags.items() if value or key in self.mlflow_run.data.tags})
        status, run_id = ENDS.get(entries[-1]["event"]), self.mlflow_run.info.run_id
        if status:
            self.client.set_terminated(run_id, status, int(entries[-1]["time"] * 1000))

    def connect(self, entries: list[dict]) -> None:
        client = open_client()
        self.mlflow_run = self.find(client, experiment_of(client, self.scale), started_at(entries))
        if not self.mlflow_run.data.params:  # new, or its process was killed before it had any
            self.describe(client)
        if self.mlflow_run.info.status == "FAILED":
            client.update_run(self.mlflow_run.info.run_id, "RUNNING")
        self.known = set()
        for key in self.mlflow_run.data.metrics:
            self.known |= {(key, metric.step) for metric in client.get_metric_history(self.mlflow_run.info.run_id, key)}
        self.client = client
        self.retag()

    def find(self, client, experiment: str, started: int):
        """Our run, created if need be. One that was created twice, as by a request without an answer, is deleted but for one."""
        if not (same := self.same(client, experiment, started)):
            nested = {PARENT_TAG: campaign_run(client, experiment, self.scale)}
            client.create_run(experiment, started, {RUN_TAG: self.run_id, **self.tags, **nested}, self.name)
            same = self.same(client, experiment, started)
        for double in same[1:]:
            client.delete_run(double.info.run_id)
        return same[0]

    def same(self, client, experiment: str, started: int) -> list:
        """What MLflow has of our run, in an order that is the same for all; not attempts with another record."""
        found = runs_of(client, experiment, self.run_id)
        return [run for run in found if run.info.start_time == started]

    def describe(self, client) -> None:
        """Data set and parameters, these last: where they are, all is."""
        from mlflow.entities import Dataset, DatasetInput, Param

        run_id = self.mlflow_run.info.run_id
        inputs = [DatasetInput(Dataset(**self.dataset))]
        try:
            client.log_inputs(run_id, datasets=inputs)
        except Exception:  # another run entered the same data set at this very moment, and now it is there
            client.log_inputs(run_id, datasets=inputs)
        client.log_batch(run_id, params=[Param(key, str(value)[:6000]) for key, value in self.params.items()])

    def retag(self) -> None:
        """Tags as they are now: the rows of a table may have changed, or the parent been created twice."""
        self.tag(self.tags | {PARENT_TAG: campaign_run(self.client, self.mlflow_run.info.experiment_id, self.scale)})

    def tag(self, tags: dict[str, str]) -> None:
        known = self.mlflow_run.data.tags
        for key, value in tags.items():
            if known.get(key) != value:
                self.client.set_tag(self.mlflow_run.info.run_id, key, value)
                known[key] = value


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


def runs_of(client, experiment: str, our_id: str) -> list:
    """MLflow's runs with an id of ours, the oldest first, else by MLflow's id."""
    return client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{our_id}'", order_by=["attributes.start_time ASC"])


def campaign_run(client, experiment: str, scale: str) -> str:
    """MLflow's id of the run under which all runs of a scale stand: the oldest one with its tag, else a new one.

    Machines that begin at once may each create one: what stands under the later ones is moved, and they are deleted.
    """
    with store_lock():
        if not (found := runs_of(client, experiment, scale)):
            tags = {RUN_TAG: scale, "kind": "campaign", "scale": scale}
            client.create_run(experiment, tags=tags, run_name=f"campaign {scale}")
            found = runs_of(client, experiment, scale)
    first, *doubles = (run.info.run_id for run in found)
    for double in doubles:
        while children := client.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{double}'"):
            for child in children:
                client.set_tag(child.info.run_id, PARENT_TAG, first)
        client.delete_run(double)
    return first


def flatten(metrics: dict) -> dict[str, float]:
    """Numbers by name; a list becomes name_1, name_2, ..., one of lists name_1_1, ..., a mapping name.key."""
    flat = {}
    for key, value in metrics.items():
        if isinstance(value, list):
            flat |= flatten({f"{key}_{i}": x for i, x in enumerate(value, start=1)})
        elif isinstance(value, dict):
            flat |= {f"{key}.{name}": x for name, x in flatten(value).items()}
        elif value is not None:
            flat[key] = float(value)
    return flat


def unreachable(error: Exception) -> UserError:
    """What a user can do about a store that failed; nothing is lost, as it is filled from the records."""
    reason = str(error).splitlines()[0][:120] if str(error) else ""
    address = os.environ.get("MLFLOW_TRACKING_URI")
    mend = f"delete {STORE} if it is damaged, it is filled again from the records"
    if address:
        mend = "start the server, or unset MLFLOW_TRACKING_URI"
    elif "locked" in reason:
        mend = "wait for the other program that uses it, or stop that"
    return UserError(f"MLflow's store {address or STORE} can't be used ({type(error).__name__}: {reason}): {mend}")
