import shutil

import pytest

from pipeline.mirror import checkout, mlflow_store


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A store as MLflow makes it, with all its tables and nothing in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(mlflow_store, "STORE", tmp_path_factory.mktemp("store") / "mlflow.db")
        mlflow_store.open_client()
        return mlflow_store.STORE


@pytest.fixture
def new_store(tmp_path, monkeypatch):
    """The store of a test, which MLflow makes when it is first opened."""
    for name in ("MLFLOW_TRACKING_URI", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(mlflow_store, "STORE", tmp_path / "mlflow.db")
    monkeypatch.setattr(mlflow_store, "ARTIFACTS", tmp_path / "artifacts")
    monkeypatch.setattr(checkout, "FILE", tmp_path / ".checkout")


@pytest.fixture
def store(new_store, empty_store, monkeypatch):
    """The store of a test. When it is first opened it becomes a copy of an empty one: MLflow takes a second to make one."""
    monkeypatch.setattr(mlflow_store, "create_store", lambda: shutil.copy(empty_store, mlflow_store.STORE))
