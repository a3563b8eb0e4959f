"""Open MLflow's store, and find or create what a campaign needs in it, once."""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.atomic_files import partial_path
from pipeline.core.paths import RESULTS
from pipeline.mirror.checkout import checkout_id
from pipeline.mirror.store_address import EMPTY, STORE, tracking_address
from pipeline.mirror.store_failures import restore_failure

ARTIFACTS = RESULTS / "mlartifacts"
RUN_TAG = "at_snn.id"  # holds our id, as MLflow's own can't be chosen
CHECKOUT_TAG = "checkout"  # holds the checkout whose record a run mirrors; runs of the versions before have none
PARENT_TAG = "mlflow.parentRunId"  # nests a run under another one in MLflow's pages


@contextmanager
def store_lock():
    """Lock the store for one process at a time on this machine, so that nothing is created twice."""
    path = Path(tempfile.gettempdir()) / f"at-snn-store-{os.getuid()}.lock"
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def open_client():
    """Open a client of the store. A sqlite store is created first, once: parallel first use would corrupt it."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it would be printed with its password
    from mlflow import MlflowClient

    address = tracking_address()
    if not address:
        with store_lock():
            if not STORE.exists():
                create_store()
        address = f"sqlite:///{STORE.resolve()}"
    must_open(address)
    return MlflowClient(address)


def must_open(address: str) -> None:
    """Raise the error of a database that can't be opened at once; MLflow would try again for minutes."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    kind, _, path = address.partition(":///")
    if kind == "sqlite":
        Path(path).parent.mkdir(parents=True, exist_ok=True)  # as MLflow does
    elif not address.startswith(("postgresql", "mysql", "mssql")):
        return
    arguments = {"connect_timeout": 10} if address.startswith("postgresql") else {}
    with create_engine(address, poolclass=NullPool, connect_args=arguments).connect() as connection:
        connection.exec_driver_sql("select 1")


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
    """Find MLflow's experiment for a scale, restore it where it was deleted, or create it. Returns its id.

    Raises ValueError where another program answers with another experiment or none, of which MLflow's client makes an empty one.
    """
    name = f"at-snn/{scale}"
    if experiment := client.get_experiment_by_name(name):
        if experiment.name != name or not experiment.experiment_id:
            raise ValueError(EMPTY)
        return active(client, experiment)
    try:
        return client.create_experiment(name, None if tracking_address() else (ARTIFACTS.resolve() / scale).as_uri())
    except Exception:  # another process was faster
        experiment = client.get_experiment_by_name(name)
        if not experiment:
            raise
        return active(client, experiment)


def active(client, experiment) -> str:
    """Restore an experiment that was deleted, with its runs, and say so. Returns its id; raises UserError where it can't be."""
    if experiment.lifecycle_stage == "deleted":
        try:
            client.restore_experiment(experiment.experiment_id)
        except Exception as error:
            if client.get_experiment(experiment.experiment_id).lifecycle_stage == "deleted":  # no other process was faster
                raise restore_failure(experiment, error) from error
        print(f"tracking: experiment {experiment.name} had been deleted in MLflow, and is restored", file=sys.stderr, flush=True)
    return experiment.experiment_id


def runs_of(client, experiment: str, our_id: str) -> list:
    """List MLflow's runs with an id of ours, of this checkout, the oldest first, those of the same time by MLflow's id."""
    condition = " and ".join(filter(None, (f"tags.`{RUN_TAG}` = '{our_id}'", own_runs())))
    return client.search_runs([experiment], condition, order_by=["attributes.start_time ASC"])


def own_runs() -> str:
    """Give MLflow's search condition for the runs of this checkout; STORE has no others, and goes along with a copy."""
    return f"tags.`{CHECKOUT_TAG}` = '{checkout_id()}'" if tracking_address() else ""


def campaign_run(client, experiment: str, scale: str) -> str:
    """Find the run under which this checkout's runs of a scale are nested, the oldest one, or create it. Returns MLflow's id.

    Machines that begin at once may each create one: runs nested under the later ones are moved, and those are deleted.
    """
    with store_lock():
        if not (runs := runs_of(client, experiment, scale)):
            tags = {RUN_TAG: scale, CHECKOUT_TAG: checkout_id(), "kind": "campaign", "scale": scale}
            name = f"campaign {scale} of {checkout_id()}" if tracking_address() else f"campaign {scale}"
            client.create_run(experiment, tags=tags, run_name=name)
            runs = runs_of(client, experiment, scale)
    first, *duplicates = (run.info.run_id for run in runs)
    if runs[0].data.tags.get(CHECKOUT_TAG) != checkout_id():
        client.set_tag(first, CHECKOUT_TAG, checkout_id())
    for duplicate in duplicates:
        while children := client.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{duplicate}'"):
            for child in children:
                client.set_tag(child.info.run_id, PARENT_TAG, first)
        client.delete_run(duplicate)
    return first
