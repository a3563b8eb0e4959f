"""The figure of time over spikes draws each kind's record, says what the times are beside dense ones, and what is missing."""

import json
from types import SimpleNamespace

import pytest
from speed_record import SHARES, record

from pipeline.reporting.drawing import canvas
from pipeline.reporting.drawing.missing_data import MissingData
from pipeline.reporting.figures import seconds_over_firing_rate


@pytest.fixture
def campaign(tmp_path):
    for kind, text in (("one", record()), ("other", record(images=False)), ("older", '{"benchmarks": []}')):
        (tmp_path / "bench" / kind).mkdir(parents=True)
        (tmp_path / "bench" / kind / "benchmark.json").write_text(text)
    return SimpleNamespace(folder=tmp_path, experiment=SimpleNamespace(scale="smoke"))


def test_every_kind_with_such_times_has_a_row(campaign):
    figure, numbers = seconds_over_firing_rate.draw(campaign, [])
    assert len(figure.axes) == 6 and list(numbers["kinds"]) == ["one", "other"] and json.dumps(numbers)
    canvas.pyplot().close(figure)
    events = next(line for line in numbers["kinds"]["one"]["layers"] if (line["layer"], line["path"]) == ("linear", "events"))
    assert events["times_dense"] == pytest.approx([0.25, 0.75, 1.25]) and events["shares"] == list(SHARES)
    assert "one: convolution in float32: event-driven as fast or faster up to 30 % of inputs not zero" in numbers["caption"]


def test_the_line_through_the_networks_says_what_an_operation_costs(campaign):
    _, numbers = seconds_over_firing_rate.draw(campaign, [])
    fits = numbers["kinds"]["one"]["fits"]
    assert fits["events"]["seconds_per_operation"] == pytest.approx(1e-9) and fits["events"]["seconds"] == pytest.approx(1e-3)
    assert fits["events"]["r"] == pytest.approx(1) and fits["events"]["r_with_all_operations"] == pytest.approx(-1)
    assert fits["dense"]["r"] is None, "they take the same time, whatever is counted"
    assert "event-driven: 1.00 ns per counted operation and 1.00 ms beside; correlation 1.00" in numbers["caption"]


def test_without_a_record_of_it_the_figure_says_how_to_make_one(campaign, tmp_path):
    for kind in ("one", "other"):
        (tmp_path / "bench" / kind / "benchmark.json").unlink()
    with pytest.raises(MissingData, match="make bench SCALE=smoke measures them"):
        seconds_over_firing_rate.draw(campaign, [])
    (tmp_path / "bench/one/benchmark.json").write_text('{"benchmarks": [{}]}')
    with pytest.raises(MissingData, match="damaged"):
        seconds_over_firing_rate.draw(campaign, [])


def test_the_figure_is_drawn_again_when_a_record_changes(campaign, tmp_path):
    assert [path.parent.name for path in seconds_over_firing_rate.reads(tmp_path)] == ["older", "one", "other"]
