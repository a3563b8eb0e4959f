"""The sqlite store is made once, whoever asks first, and anew where its making was cut off."""

import pytest
from one_run import entries, mirror, trainings

from pipeline.mirror import mlflow_store


def test_a_store_whose_making_was_cut_off_is_made_anew(new_store, monkeypatch):
    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(mlflow_store.os, "replace", cut)
        with pytest.raises(KeyboardInterrupt):
            mlflow_store.open_client()
    assert not mlflow_store.STORE.exists()
    mirror().push(entries(1))
    assert len(trainings(mlflow_store.open_client())) == 1


def test_processes_that_use_a_fresh_store_at_once_all_succeed(tmp_path):
    import subprocess
    import sys

    from pipeline.core.paths import ROOT

    code = (
        "import sys; from pathlib import Path; from pipeline.mirror import mlflow_run, mlflow_store; mlflow_store.STORE = Path(sys.argv[1]); "
        "mlflow_store.ARTIFACTS = Path(sys.argv[1] + '.d'); data = dict(name='shapes', digest='0', source_type='local', source='seed'); "
        "mlflow_run.Mirror('tiny', sys.argv[2], sys.argv[2], {}, {}, data).push([{'event': 'start', 'time': 1.0}])"
    )
    jobs = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "fresh.db"), f"run-{i}"], cwd=ROOT, stderr=subprocess.PIPE)
        for i in range(4)
    ]
    errors = [job.communicate()[1].decode() for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 4, errors
