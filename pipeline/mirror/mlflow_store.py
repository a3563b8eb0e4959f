"""Open MLflow's store, and find or create what a campaign needs in it, once."""

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.atomic_files import beside
from pipeline.core.errors import UserError
from pipeline.core.paths import RESULTS

STORE = RESULTS / "mlflow.db"
ARTIFACTS = RESULTS / "mlartifacts"
RUN_TAG = "at_snn.id"  # our id; MLflow's own can't be chosen
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
