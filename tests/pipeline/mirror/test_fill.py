"""A campaign without records is filled in with a line that says why there are none; with records: tests/workflow/test_results.py."""

from pipeline.command_line import open_campaign
from pipeline.mirror.fill import fill_and_show


def test_a_campaign_without_records_says_why_it_has_none(store, tmp_path):
    campaign = open_campaign("smoke")
    campaign.folder = tmp_path / "smoke"
    assert (
        "holds 0 records of scale smoke" in (line := fill_and_show(campaign, None)) and "(nothing was trained here yet): " in line
    )
    for name in ("run-1", "run-2"):
        record = campaign.folder / "runs" / name / "record.jsonl"
        record.parent.mkdir(parents=True)
        record.touch()
    line = fill_and_show(campaign, None)
    assert "holds 0 records" in line and "(the 2 here are of other images or another declaration; " in line
    assert "ATSNN_DATA or --data): http://127.0.0.1:5000/#/experiments/" in line and "\n" not in line
