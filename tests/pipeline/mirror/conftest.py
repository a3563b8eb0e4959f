import pytest

from pipeline.mirror import checkout, mlflow_store


@pytest.fixture
def store(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(mlflow_store, "STORE", tmp_path / "mlflow.db")
    monkeypatch.setattr(mlflow_store, "ARTIFACTS", tmp_path / "artifacts")
    monkeypatch.setattr(checkout, "FILE", tmp_path / ".checkout")
