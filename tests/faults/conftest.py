import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
from copied import finish_campaign
from made_once import made_once

from pipeline.data import fingerprints
from pipeline.data.datasets import tiny_imagenet


@pytest.fixture(scope="session")
def calm(tmp_path_factory, worker_id):
    """The folder of the tiny campaign, done: what the disturbed ones are compared with."""
    return made_once(tmp_path_factory, worker_id, "tiny", finish_campaign)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """TinyImageNet has two classes, and what is remembered or written lies in a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fingerprints, "FINGERPRINTS", tmp_path / "fingerprints")
    monkeypatch.setattr(tiny_imagenet, "CLASS_COUNT", 2)
    monkeypatch.setattr(tiny_imagenet, "PER_CLASS", {"train": 3, "test": 2})
