"""Open MLflow's store, and find or create what a campaign needs in it, once."""

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.atomic_files import partial_path
from pipeline.core.errors import UserError
from pipeline.core.paths import RESULTS

STORE = RESULTS / "mlflow.db"
ARTIFACTS = RESULTS / "mlartifacts"
RUN_TAG = "at_snn.id"  # holds our id, as MLflow's own can't be chosen
PARENT_TAG = "mlflow.parentRunId"  # nests a run under another one in MLflow's pages


@contextmanager
def store_lock():
    """Lock the store for one process at a time on this machine, so that nothing is created twice."""
    path = Path(tempfile.gettempdir()) / f"at-snn-store-{os.getuid()}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def open_client():
    """Open a client of the store. A sqlite store is created first, once: parallel first use would corrupt it."""
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
    """Create the sqlite store with all its tables or not at all: MLflow can't use a store that lacks some of them."""
    from mlflow import MlflowClient

    STORE.parent.mkdir(parents=True, exist_ok=True)
    folder = partial_path(STORE)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    new = folder / f"{time.monotonic_ns()}.db"  # a new name each time: MLflow remembers by name which stores it has made
    try:
        MlflowClient(f"sqlite:///{new.resolve()}").search_experiments(max_results=1)  # creates the tables
        os.replace(new, STORE)
    finally:
        shutil.rmtree(folder)


def started_at(entries: list[dict]) -> int:
    """Give the start of a record in milliseconds since 1970; with our id it tells the run in MLflow from other attempts."""
    return int(entries[0]["time"] * 1000)


def experiment_of(client, scale: str) -> str:
    """Find MLflow's experiment for a scale, or create it. Returns its id."""
    name = f"at-snn/{scale}"
    experiment = client.get_experiment_by_name(name)
    if experiment:
        return experiment.experiment_id
    is_local = not os.environ.get("MLFLOW_TRACKING_URI")
    try:
        return client.create_experiment(name, (ARTIFACTS.resolve() / scale).as_uri() if is_local else None)
    except Exception:  # another process was faster
        experiment = client.get_experiment_by_name(name)
        if not experiment:
            raise
        return experiment.experiment_id


def runs_of(client, experiment: str, our_id: str) -> list:
    """List MLflow's runs with an id of ours, the oldest first, those of the same time by MLflow's id."""
    return client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{our_id}'", order_by=["attributes.start_time ASC"])


def campaign_run(client, experiment: str, scale: str) -> str:
    """Find the run under which all runs of a scale are nested: the oldest one with its tag, else a new one. Returns MLflow's id.

    Machines that begin at once may each create one: runs nested under the later ones are moved, and those are deleted.
    """
    with store_lock():
        if not (runs := runs_of(client, experiment, scale)):
            tags = {RUN_TAG: scale, "kind": "campaign", "scale": scale}
            client.create_run(experiment, tags=tags, run_name=f"campaign {scale}")
            runs = runs_of(client, experiment, scale)
    first, *duplicates = (run.info.run_id for run in runs)
    for duplicate in duplicates:
        while children := client.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{duplicate}'"):
            for child in children:
                client.set_tag(child.info.run_id, PARENT_TAG, first)
        client.delete_run(duplicate)
    return first


def unreachable(error: Exception) -> UserError:
    """Make the UserError of a store that failed, with its remedy; nothing is lost, as it is filled from the records."""
    reason = str(error).splitlines()[0][:120] if str(error) else ""
    address = os.environ.get("MLFLOW_TRACKING_URI")
    remedy = f"delete {STORE} if it is damaged, it is filled again from the records"
    if address:
        remedy = "start the server, or unset MLFLOW_TRACKING_URI"
    elif "locked" in reason:
        remedy = "wait for the other program that uses it, or stop that"
    return UserError(f"MLflow's store {address or STORE} can't be used ({type(error).__name__}: {reason}): {remedy}")
