"""The table of faults is what their log says."""

import json

import pytest
from small_page import HOSTILE, page

from pipeline.core.errors import UserError
from pipeline.reporting.page import faults


def lines(*entries):
    return "\n".join(map(json.dumps, entries)) + "\n"


FAULT = {"event": "fault", "struck": ["train"], "how": "SIGKILL", "damaged": ""}


def test_the_table_of_faults_is_what_their_log_says(campaign, tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "FAULTS", tmp_path / "faults.jsonl")
    assert faults.read_faults() == [] and "Faults tried" not in page(campaign, faults=[])
    (tmp_path / "faults.jsonl").write_text(
        lines(
            FAULT,
            FAULT | {"damaged": "checkpoint.pt cut at byte 7"},
            FAULT | {"struck": ["snakemake", "train", "train"]},
            {"event": "compared", "differ": [], "logged_twice": ""},
            {"event": "scenario", "fault": "two graphs", "said": HOSTILE, "differ": ["tables/table1.csv"]},
            {"event": "not tried", "fault": "full disk", "why": "no mount"},
            {"event": "planned", "faults": ["a clock", "two graphs"]},
        )
    )
    rows = faults.read_faults()
    assert [(row["fault"], row["times"], row["outcome"]) for row in rows] == [
        ("SIGKILL: snakemake and train", 1, "the same numbers"),
        ("SIGKILL: train", 2, "the same numbers"),
        ("with a kill: checkpoint.pt cut", 1, "the same numbers"),
        ("a clock", 0, "not reached"),
        ("full disk", 0, "not tried: no mount"),
        ("two graphs", 1, "differs: tables/table1.csv"),
    ]
    shown = page(campaign, faults=rows)
    assert "Faults tried, and what came of them" in shown and "<script>" not in shown


@pytest.mark.parametrize(
    "ends, said",
    (
        ([], "not compared"),
        ([{"event": "compared", "differ": ["a"], "logged_twice": ""}], "differs: a"),
        ([{"event": "compared", "differ": [], "logged_twice": "loss"}], "differs: loss"),
    ),
)
def test_kills_that_changed_something_or_were_not_compared_did_not_survive(tmp_path, monkeypatch, ends, said):
    monkeypatch.setattr(faults, "FAULTS", tmp_path / "faults.jsonl")
    (tmp_path / "faults.jsonl").write_text(lines(FAULT, *ends))
    assert faults.read_faults()[0]["outcome"].startswith(said)


@pytest.mark.parametrize("text", ("{", "3\n", '{"event": "fault"}\n', '{"event": "compared"}\n'))
def test_a_damaged_log_of_faults_is_one_line(tmp_path, monkeypatch, text):
    monkeypatch.setattr(faults, "FAULTS", tmp_path / "faults.jsonl")
    (tmp_path / "faults.jsonl").write_text(text)
    with pytest.raises(UserError, match="faults.jsonl is damaged .* delete it"):
        faults.read_faults()
