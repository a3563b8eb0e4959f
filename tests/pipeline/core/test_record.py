"""A record is appended, restored from a checkpoint, and refused where it is damaged."""

import pytest

from pipeline.core.atomic_files import replace
from pipeline.core.record import Record, read


def test_a_record_forgets_what_came_after_the_checkpoint(tmp_path):
    record = Record(tmp_path / "record.jsonl")
    record.append("start")
    record.append("epoch", epoch=1)
    saved = record.path.read_text()
    record.append("epoch", epoch=2)
    record.path.unlink()  # and it may be lost altogether
    record.restore(saved)
    assert [entry["event"] for entry in record.entries()] == ["start", "epoch"]


def test_an_empty_record_is_refused(tmp_path):
    (tmp_path / "record.jsonl").write_text("")
    with pytest.raises(ValueError, match="does not begin with the start of a run and its provenance: delete it"):
        read(tmp_path / "record.jsonl")


def test_a_damaged_record_is_named_with_its_line(tmp_path):
    replace(tmp_path / "record.jsonl", '{"event": "start", "time": 0}\n{"event": "ep')
    with pytest.raises(ValueError, match="record.jsonl, line 2, is damaged"):
        read(tmp_path / "record.jsonl")
