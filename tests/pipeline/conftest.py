import shutil

import pytest

from pipeline.mirror import mlflow_store


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A store as MLflow makes it, with all its tables and nothing in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(mlflow_store, "STORE", tmp_path_factory.mktemp("store") / "mlflow.db")
        mlflow_store.open_client()
        return mlflow_store.STORE


@pytest.fixture
def copied_store(empty_store, monkeypatch):
    """A store that is not there becomes a copy of the empty one when it is first opened: MLflow takes a second to make one."""

    def create():
        mlflow_store.STORE.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(empty_store, mlflow_store.STORE)

    monkeypatch.setattr(mlflow_store, "create_store", create)
