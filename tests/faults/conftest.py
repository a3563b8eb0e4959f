import pytest

from pipeline.data import fingerprints
from pipeline.data.datasets import tiny_imagenet


@pytest.fixture
def small(tmp_path, monkeypatch):
    """TinyImageNet has two classes, and what is remembered or written lies in a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fingerprints, "FINGERPRINTS", tmp_path / "fingerprints")
    monkeypatch.setattr(tiny_imagenet, "CLASS_COUNT", 2)
    monkeypatch.setattr(tiny_imagenet, "PER_CLASS", {"train": 3, "test": 2})
