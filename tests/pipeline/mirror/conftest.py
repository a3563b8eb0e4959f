import pytest

from pipeline.mirror import checkout, mlflow_store


@pytest.fixture
def new_store(tmp_path, monkeypatch):
    """The store of a test, which MLflow makes when it is first opened."""
    for name in ("MLFLOW_TRACKING_URI", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(mlflow_store, "STORE", tmp_path / "mlflow.db")
    monkeypatch.setattr(mlflow_store, "ARTIFACTS", tmp_path / "artifacts")
    monkeypatch.setattr(checkout, "FILE", tmp_path / ".checkout")


@pytest.fixture
def store(new_store, copied_store):
    """The store of a test, which is there at once when it is first opened."""
