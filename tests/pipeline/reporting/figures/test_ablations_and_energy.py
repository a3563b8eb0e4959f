"""What the ablations and the energy figures show of each seed, worked out again from token arrays and tables."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.campaign.declaration import Figure
from pipeline.evaluation.arrays import read_arrays
from pipeline.reporting.drawing import campaign_results, draw_figure

SHARED = {"parts_apart": "at_snn", "halting_readings": "at_snn_printed", "halting_axes": "at_snn_1d"}


def counted(campaign, evaluation):
    """Shares of the 64 tokens that merged, halted and were computed, one token at a time."""
    kept = read_arrays(campaign.arrays_file(evaluation.run), evaluation.name, "halt_block", "merge_block")
    count = dict.fromkeys(("merged", "halted", "computed"), 0)
    for l in (1, 2, 3):
        for t in range(3):
            for n in range(30):
                for k in range(64):
                    merge, halt = int(kept["merge_block"][n, k]), int(kept["halt_block"][t, n, k])
                    count["merged" if 0 < merge <= l else "halted" if 0 < halt < l else "computed"] += 1
    return {key: value / (3 * 3 * 30 * 64) for key, value in count.items()}


def readings(campaign):
    told = pd.read_csv(campaign.folder / "tables/readings.csv", keep_default_na=False)
    return told[(told.exit == "") & (told.timesteps == 3)].set_index(["evaluation", "seed"])


def show(campaign, monkeypatch, name, *evaluations):
    monkeypatch.setitem(campaign.experiment.figures, name, Figure(evaluations=evaluations))
    return draw_figure.draw(campaign, name)


@pytest.mark.parametrize("name", SHARED)
def test_tokens_are_those_of_the_trace_counted_one_by_one(campaign, name):
    told = draw_figure.draw(campaign, name)
    line = next(line for line in told.get("lines") or told["points"] if line["evaluation"] == SHARED[name])
    of_seeds = [counted(campaign, evaluation) for evaluation in campaign.named(SHARED[name])]
    for key in ("merged", "halted", "computed"):
        assert line[key] == pytest.approx(np.mean([seed[key] for seed in of_seeds])), key
    assert line["halted"] > 0.01 and line["merged"] == pytest.approx(10 / 64), "otherwise nothing is shown"


def test_parts_are_compared_with_the_control_of_their_own_seed(campaign):
    told, read = draw_figure.draw(campaign, "parts_apart"), readings(campaign)
    line = next(line for line in told["lines"] if line["evaluation"] == "merge_only")
    minus = [read.accuracy["merge_only", seed] - read.accuracy["static_control", seed] for seed in (0, 1)]
    assert line["minus_control"] == pytest.approx(minus) and line["halted"] == pytest.approx(0)
    assert line["accuracy_std"] == pytest.approx(abs(np.subtract(*read.accuracy["merge_only"])) / np.sqrt(2))
    own = {seed["evaluation"]: seed for seed in told["seeds"]}
    assert len(own) == len(told["seeds"]) == 10
    assert [own[e.id]["minus_control"] for e in campaign.named("merge_only")] == pytest.approx(minus)


def test_parts_without_their_control_are_not_drawn(campaign, monkeypatch):
    assert "lacks STATIC, retrained" in show(campaign, monkeypatch, "parts_apart", "static", "merge_only")["missing"]
    told = show(campaign, monkeypatch, "parts_apart", "static_control", "merge_only")
    assert told["missing"] is None and "Nothing halts" in told["caption"] and "Nothing is merged" not in told["caption"]


def test_readings_are_hollow_where_they_were_not_trained(campaign):
    told, read = draw_figure.draw(campaign, "halting_readings"), readings(campaign)
    points = {point["evaluation"]: point for point in told["points"]}
    assert {name: (p["reading"], p["retrained"]) for name, p in points.items()} == {
        "static_control": (None, True),
        "at_snn": ("inclusive", True),
        "at_snn_printed": ("printed", False),
        "at_snn_example": ("example", False),
    }
    for name, point in points.items():
        assert point["accuracy"] == pytest.approx(read.accuracy[name].mean())
        assert point["tokens"] == pytest.approx(read.avg_tokens[name].mean()) == pytest.approx(point["computed"])
    assert points["at_snn"]["tokens"] < points["at_snn_printed"]["tokens"], "a sum over fewer scores halts later"
    json.dumps(told, allow_nan=False)


def test_what_is_compared_is_compared_on_the_seeds_that_all_have():
    def named(name, *seeds):
        return [SimpleNamespace(name=name, run=SimpleNamespace(seed=seed)) for seed in seeds]

    kept = campaign_results.common_seeds([*named("control", 0, 1, 2), *named("printed", 2, 0)])
    assert [(e.name, e.run.seed) for e in kept] == [("control", 0), ("control", 2), ("printed", 2), ("printed", 0)]
    assert len(campaign_results.common_seeds([*named("control", 0), *named("printed", 1)])) == 2, (
        "none in common: all, with their own n"
    )


def test_where_nothing_halts_the_ablations_say_so(campaign, monkeypatch):
    told = show(campaign, monkeypatch, "halting_readings", "static_control", "at_snn_never")
    assert told["missing"] is None and "Nothing halts before the last block" in told["caption"]
    assert "halts tokens" in show(campaign, monkeypatch, "halting_readings", "static")["missing"]
    assert "othing halts" not in draw_figure.draw(campaign, "halting_axes")["caption"]


def test_evaluations_of_one_kind_are_not_mixed_in_halting_axes(campaign, monkeypatch):
    told, before = show(campaign, monkeypatch, "halting_axes", "at_snn", "at_snn_printed", "at_snn_1d"), readings(campaign)
    points = {point["evaluation"]: point for point in told["points"]}
    assert [points[name]["retrained"] for name in ("at_snn", "at_snn_printed", "at_snn_1d")] == [True, False, True]
    for seed, found in enumerate(told["seeds"]):
        assert found["2d_minus_1d_tokens"] == pytest.approx(
            before.avg_tokens["at_snn", seed] - before.avg_tokens["at_snn_1d", seed]
        )
    assert len(told["seeds"]) == 2


def test_conventions_are_relative_to_static_of_the_same_network(campaign, monkeypatch):
    told = draw_figure.draw(campaign, "energy_conventions")
    layers, read = pd.read_csv(campaign.folder / "tables/energy.csv"), readings(campaign)
    for seed, evaluation in enumerate(campaign.named("at_snn")):
        found = next(seed for seed in told["seeds"] if seed["evaluation"] == evaluation.id)
        own = layers[layers.evaluation_id == evaluation.id]
        for kind in ("nonzero", "count", "mac"):
            assert found["uJ"][kind] == pytest.approx(own[f"pJ_{kind}"].sum() / 1e6, rel=1e-6)
            assert found["uJ"][kind] == read[f"energy_{kind}"]["at_snn", seed]
        assert found["matching"] == pytest.approx(own[own.module == "matching"].pJ_mac.sum() / 1e6) and found["matching"] > 0
    assert "lacks STATIC" in show(campaign, monkeypatch, "energy_conventions", "at_snn", "merge_only")["missing"]


def test_static_at_fewer_timesteps_is_its_cumulated_energy(campaign, monkeypatch):
    from pipeline.reporting.figures import energy_by_module

    monkeypatch.setattr(energy_by_module, "FEWER", 2)
    told = draw_figure.draw(campaign, "energy_by_module")
    all_readings = pd.read_csv(campaign.folder / "tables/readings.csv", keep_default_na=False)
    two = all_readings[(all_readings.evaluation == "static") & (all_readings.timesteps == 2)]
    bar = next(bar for bar in told["bars"] if bar["title"] == "STATIC (T = 2)")
    assert bar["total"] == pytest.approx(two.energy_nonzero.mean()) and bar["accuracy"] == pytest.approx(two.accuracy.mean())
    assert bar["total_std"] == pytest.approx(two.energy_nonzero.std())
