"""What was recorded, by the names that MLflow and tables have for it."""

from pipeline.campaign import recorded


def test_lists_and_mappings_become_metrics_by_name():
    metrics = {"a": 1, "b": [2, 3], "exit": {"dt_snn": {"timesteps": 4, "threshold": None}}}
    assert recorded.flatten(metrics) == {"a": 1, "b_1": 2, "b_2": 3, "exit.dt_snn.timesteps": 4}
