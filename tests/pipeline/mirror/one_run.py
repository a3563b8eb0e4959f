"""One run of ours and its record, and what MLflow has of it."""

from pipeline.mirror import mlflow_store
from pipeline.mirror.mlflow_run import Mirror

DATASET = {"name": "shapes", "digest": "01234567", "source_type": "local", "source": "drawn from a seed"}


def entries(epochs):
    start = [{"event": "start", "time": 1000.0}]
    return start + [
        {"event": "epoch", "time": 1000.5 + e, "epoch": e, "metrics": {"loss": 1 / e, "tokens": [1.0, 0.5]}}
        for e in range(1, epochs + 1)
    ]


def mirror():
    return Mirror("tiny", "run-1", "a run", {"gamma": 5}, {"kind": "training"}, DATASET)


def trainings(client):
    return client.search_runs([mlflow_store.experiment_of(client, "tiny")], "tags.kind = 'training'")


def history(key):
    client = mlflow_store.open_client()
    runs = trainings(client)
    assert len(runs) == 1
    return [(m.step, m.value, m.timestamp) for m in client.get_metric_history(runs[0].info.run_id, key)]
