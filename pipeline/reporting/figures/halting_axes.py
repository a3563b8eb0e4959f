"""Compare two- with one-dimensional halting (Fig. 9): scores summed over blocks and timesteps, or over blocks alone."""
# Tested in tests/pipeline/reporting/figures/test_figures.py

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.reporting.drawing import campaign_results, canvas, fate_bars
from pipeline.reporting.drawing.missing_data import MissingData
from pipeline.reporting.tables.savings import pretrained

if TYPE_CHECKING:
    import pandas as pd


TITLE = "Two- and one-dimensional halting (Fig. 9)"
DEFINITION = (
    "Halting scores summed over blocks and timesteps (2D, Eq. 4) or over the blocks of each timestep alone (1D), all else equal. "
    "Left: accuracy over average tokens, mean and standard deviation over the seeds that all have, STATIC beside them where it is shown. Right: where "
    "the tokens went, mean over blocks, timesteps, images and seeds. Differences are taken seed by seed. Hollow: same weights, not "
    "retrained. Reading: the paper does not say whether its one-dimensional network was retrained; here it is, where it is filled."
)
MOST_EVALUATIONS = None
LOOKS = {"2d": ("2D", canvas.BLUE, "D"), "1d": ("1D", canvas.ORANGE, "s")}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a row of panels per data set; `seeds` has 2D minus 1D of each seed."""
    groups = {
        name: campaign_results.common_seeds(data_evaluations)
        for name, data_evaluations in campaign_results.by_data(evaluations).items()
    }
    for data_evaluations in groups.values():
        if {e.options["axes"] for e in data_evaluations if "axes" in e.options} != set(LOOKS):
            raise MissingData("two- and one-dimensional halting are compared: name an evaluation of each")
    readings = campaign_results.at_all_timesteps(campaign_results.table(campaign, "readings", evaluations))
    figure, axes = canvas.panels(len(groups), 2, width=9.4, gridspec_kw={"width_ratios": (3, 2)})
    points, seeds = [], []
    for (left, right), data_evaluations in zip(axes, groups.values()):
        lines = [
            summarise(campaign, readings, seed_evaluations)
            for seed_evaluations in campaign_results.by_name(data_evaluations).values()
        ]
        paint(left, right, lines)
        points += lines
        seeds += differences(readings, data_evaluations)
    fate_bars.legend(axes[0, 1])
    return figure, {"caption": caption(points, seeds), "points": points, "seeds": seeds}


def summarise(campaign: Campaign, readings: pd.DataFrame, seed_evaluations: list[Evaluation]) -> dict:
    """Summarise one evaluation over its seeds: accuracy in percent, tokens and their fates as shares of 64."""
    rows, several = readings[readings.evaluation == seed_evaluations[0].name], len(seed_evaluations) > 1
    line = {
        "evaluation": seed_evaluations[0].name,
        "axes": seed_evaluations[0].options.get("axes"),
        "retrained": bool(rows.retrained_options.all()),
    }
    timesteps, trained = int(rows.timesteps.iloc[0]), int(rows.trained_timesteps.iloc[0])
    line |= {"retrained": line["retrained"] and timesteps == trained, "at": f" (T = {timesteps})" if timesteps != trained else ""}
    line |= {"title": rows.title.iloc[0], "method": rows.method.iloc[0], "dataset": rows.dataset_title.iloc[0], "n": len(rows)}
    line |= {"accuracy": float(rows.accuracy.mean()), "accuracy_std": float(rows.accuracy.std()) if several else None}
    line |= {"tokens": float(rows.avg_tokens.mean()), "tokens_std": float(rows.avg_tokens.std()) if several else None}
    shares = [fate_bars.shares(campaign, e) for e in seed_evaluations]
    return line | {key: float(np.mean([share[key] for share in shares])) for key in fate_bars.COLOURS}


def differences(readings: pd.DataFrame, evaluations: list[Evaluation]) -> list[dict]:
    """Subtract 1D from 2D, both retrained, where pretrained network, timesteps and all other options are the same."""
    reading_of = readings.set_index("evaluation_id")
    pretrained_as = pretrained(reading_of)
    by_axes: dict[str, dict] = {"2d": {}, "1d": {}}
    for e in evaluations:
        if "axes" in e.options and e.options == e.run.options:
            others = sorted((key, value) for key, value in e.options.items() if key != "axes")
            by_axes[e.options["axes"]][pretrained_as[e.id], e.timesteps, str(others)] = e
    pairs = [(two_d, by_axes["1d"][key]) for key, two_d in by_axes["2d"].items() if key in by_axes["1d"]]
    return [
        {
            "evaluation": two_d.id,
            "run": two_d.run.id,
            "2d_minus_1d_accuracy": float(reading_of.accuracy[two_d.id] - reading_of.accuracy[one_d.id]),
            "2d_minus_1d_tokens": float(reading_of.avg_tokens[two_d.id] - reading_of.avg_tokens[one_d.id]),
        }
        for two_d, one_d in pairs
    ]


def caption(points: list[dict], seeds: list[dict]) -> str:
    """Write the caption: how many seeds, and the mean differences where there is one data set."""
    text = f"Mean and standard deviation over {campaign_results.seeds(line['n'] for line in points)}."
    if seeds and len({line["dataset"] for line in points}) == 1:
        accuracy, tokens = (np.array([seed[f"2d_minus_1d_{key}"] for seed in seeds]) for key in ("accuracy", "tokens"))
        text += (
            f" 2D minus 1D, seed by seed: {signed(accuracy, 2)} points of accuracy, {signed(100 * tokens, 2)} points of tokens."
        )
    halted = any(line["halted"] > 1e-9 for line in points)
    return text + ("" if halted else " Nothing halts before the last block: the two are the same here.")


def signed(values: np.ndarray, digits: int) -> str:
    """Write the mean with its sign, and the standard deviation of several values."""
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():+.{digits}f}{spread}"


def paint(left, right, lines: list[dict]) -> None:
    """Draw points, each with its name beside it, and the tokens of the adaptive ones as bars."""
    adaptive = [line for line in lines if line["axes"]]
    middle = np.mean([line["tokens"] for line in adaptive])
    for line in lines:
        name, colour, marker = LOOKS.get(line["axes"]) or (line["title"], *canvas.look(line["method"]).values())
        position = (100 * line["tokens"], line["accuracy"])
        spreads = (line["accuracy_std"] or None, 100 * (line["tokens_std"] or 0) or None)
        face = colour if line["retrained"] else "white"
        left.errorbar(*position, *spreads, color=colour, marker=marker, mfc=face, capsize=2, ms=7)
        side = (
            {"xytext": (8, 3), "ha": "left"} if line["axes"] and line["tokens"] >= middle else {"xytext": (-8, 3), "ha": "right"}
        )
        left.annotate(label(line, adaptive, name), position, textcoords="offset points", color=colour, fontweight="bold", **side)
    left.set(xlabel="average tokens (% of 64)", ylabel="accuracy (%)", title=lines[0]["dataset"])
    left.margins(0.15)
    for place, line in enumerate(adaptive):
        fate_bars.bar(right, place, line)
    names = [label(line, adaptive, LOOKS[line["axes"]][0]) for line in adaptive]
    right.set(yticks=range(len(adaptive)), yticklabels=names, ylim=(len(adaptive) - 0.4, -0.6))
    fate_bars.scale(right)


def label(line: dict, adaptive: list[dict], name: str) -> str:
    """Name a point 2D or 1D, with the evaluation's name where there are several of a kind."""
    several = line["axes"] and [other["axes"] for other in adaptive].count(line["axes"]) > 1
    return f"{name}{line['at'] if line['axes'] else ''}" + (f", {line['evaluation']}" if several else "")
