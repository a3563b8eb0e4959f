"""Files that are written whole or not at all, and what is found where one was changed."""

import os
import platform
import subprocess

import pytest

from pipeline.core import atomic_files, record
from pipeline.core.atomic_files import read_json
from pipeline.core.errors import UserError


@pytest.fixture
def ended():
    """The number of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_killed_processes_left_is_cleared_by_who_writes_the_same_file(tmp_path, ended):
    host = platform.node()
    gone = [f".table.csv.{host}.{ended}", f".data.{host}.{ended}"]
    kept = [f".table.csv.{host}.{os.getppid()}", f".table.csv.another.{ended}", f".other.csv.{host}.{ended}", "table.csv.1"]
    for name in (gone[0], *kept):
        (tmp_path / name).touch()
    (tmp_path / gone[1]).mkdir()
    (tmp_path / gone[1] / "images").touch()
    atomic_files.replace(tmp_path / "table.csv", "1\n")
    atomic_files.replace(tmp_path / "data", "2\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "table.csv", "data"])


def test_what_can_not_be_written_leaves_what_was_there_and_is_named(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    atomic_files.replace(path, "before")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*table\.csv"):
        atomic_files.replace(path, "after")
    with pytest.raises(OSError, match=r"No space left on device: .*record\.jsonl"):
        record.Record(tmp_path / "record.jsonl").append("start")
    assert path.read_text() == "before" and [p.name for p in tmp_path.glob(".*")] == []


def test_a_sealed_file_reads_as_it_was_written(tmp_path):
    content = {"run": "a", "metrics": {"accuracy": 84.4, "ponder": None, "tokens": [0.1, 1e-300]}}
    atomic_files.replace_sealed(tmp_path / "e.json", content)
    assert atomic_files.read_sealed(tmp_path / "e.json", "metrics") == content


@pytest.mark.parametrize(
    "before, after", (("84.4", "84.5"), ('"a"', '"b"'), ("ponder", "wonder"), ('"sha256": "', '"sha256": "0'))
)
def test_a_sealed_file_with_another_content_is_refused(tmp_path, before, after):
    path = tmp_path / "e.json"
    atomic_files.replace_sealed(path, {"run": "a", "metrics": {"accuracy": 84.4, "ponder": None}})
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(UserError, match="its checksum is of other numbers.: delete it, and it is made again"):
        atomic_files.read_sealed(path, "metrics")


def test_a_json_file_without_what_it_must_have_is_refused(tmp_path):
    for text in ("[]", "{}", '{"time"'):
        (tmp_path / "result.json").write_text(text)
        with pytest.raises(ValueError, match="result.json .*delete it, and it is made again"):
            read_json(tmp_path / "result.json", "metrics")
