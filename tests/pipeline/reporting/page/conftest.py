from collections import defaultdict
from types import SimpleNamespace

import pytest

from pipeline.reporting.page import report


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    """Two figures, one evaluation; figures' modules are made up."""
    monkeypatch.setattr(report, "evaluation_files", lambda _: {"static-s3-0": "evals/static-s3-0.json"})
    run = SimpleNamespace(id="static-s3-0", seed=3)
    experiment = SimpleNamespace(scale="tiny", about="a <test>", figures=dict.fromkeys(("drawn", "other")))
    (tmp_path / "figures").mkdir()
    (tmp_path / "tables").mkdir()
    evaluations = [SimpleNamespace(id="static-s3-1", name="static", run=run)]
    module = SimpleNamespace(TITLE="Halting (Fig. 8)", DEFINITION="How.")
    catalogue = SimpleNamespace(figures=defaultdict(lambda: module))
    return SimpleNamespace(folder=tmp_path, experiment=experiment, evaluations=evaluations, catalogue=catalogue)
