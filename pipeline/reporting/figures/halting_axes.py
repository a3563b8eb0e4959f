"""Two- against one-dimensional halting (Fig. 9): sums of scores over blocks and timesteps, or over blocks alone."""

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
    """A row of panels per data set; `seeds` has what 2D has more than 1D."""
    groups = {name: campaign_results.common_seeds(own) for name, own in campaign_results.by_data(evaluations).items()}
    for own in groups.values():
        if {e.options["axes"] for e in own if "axes" in e.options} != set(LOOKS):
            raise MissingData("two- and one-dimensional halting are compared: name an evaluation of each")
    readings = campaign_results.at_all_timesteps(campaign_results.table(campaign, "readings", evaluations))
    figure, axes = canvas.panels(len(groups), 2, width=9.4, gridspec_kw={"width_ratios": (3, 2)})
    points, seeds = [], []
    for (left, right), own in zip(axes, groups.values()):
        lines = [point(campaign, readings, same) for same in campaign_results.by_name(own).values()]
        paint(left, right, lines)
        points += lines
        seeds += differences(readings, own)
    fate_bars.legend(axes[0, 1])
    return figure, {"caption": caption(points, seeds), "points": points, "seeds": seeds}


def point(campaign: Campaign, readings: pd.DataFrame, same: list[Evaluation]) -> dict:
    """One evaluation over its seeds."""
    own, several = readings[readings.evaluation == same[0].name], len(same) > 1
    line = {"evaluation": same[0].name, "axes": same[0].options.get("axes"), "retrained": bool(own.retrained_options.all())}
    at, trained = int(own.timesteps.iloc[0]), int(own.trained_timesteps.iloc[0])
    line |= {"retrained": line["retrained"] and at == trained, "at": f" (T = {at})" if at != trained else ""}
    line |= {"title": own.title.iloc[0], "method": own.method.iloc[0], "dataset": own.dataset_title.iloc[0], "n": len(own)}
    line |= {"accuracy": float(own.accuracy.mean()), "accuracy_std": float(own.accuracy.std()) if several else None}
    line |= {"tokens": float(own.avg_tokens.mean()), "tokens_std": float(own.avg_tokens.std()) if several else None}
    shares = [fate_bars.shares(campaign, e) for e in same]
    return line | {key: float(np.mean([one[key] for one in shares])) for key in fate_bars.COLOURS}


def differences(readings: pd.DataFrame, own: list[Evaluation]) -> list[dict]:
    """2D minus 1D, both retrained, by the network that they were pretrained as, timesteps and all other options."""
    read = readings.set_index("evaluation_id")
    started = pretrained(read)
    by_kind: dict[str, dict] = {"2d": {}, "1d": {}}
    for e in own:
        if "axes" in e.options and e.options == e.run.options:
            others = sorted((key, value) for key, value in e.options.items() if key != "axes")
            by_kind[e.options["axes"]][started[e.id], e.timesteps, str(others)] = e
    pairs = [(two, by_kind["1d"][key]) for key, two in by_kind["2d"].items() if key in by_kind["1d"]]
    return [
        {
            "evaluation": two.id,
            "run": two.run.id,
            "2d_minus_1d_accuracy": float(read.accuracy[two.id] - read.accuracy[one.id]),
            "2d_minus_1d_tokens": float(read.avg_tokens[two.id] - read.avg_tokens[one.id]),
        }
        for two, one in pairs
    ]


def caption(points: list[dict], seeds: list[dict]) -> str:
    text = f"Mean and standard deviation over {campaign_results.seeds(line['n'] for line in points)}."
    if seeds and len({line["dataset"] for line in points}) == 1:
        accuracy, tokens = (np.array([seed[f"2d_minus_1d_{key}"] for seed in seeds]) for key in ("accuracy", "tokens"))
        text += (
            f" 2D minus 1D, seed by seed: {signed(accuracy, 2)} points of accuracy, {signed(100 * tokens, 2)} points of tokens."
        )
    halted = any(line["halted"] > 1e-9 for line in points)
    return text + ("" if halted else " Nothing halts before the last block: the two are the same here.")


def signed(values: np.ndarray, digits: int) -> str:
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():+.{digits}f}{spread}"


def paint(left, right, lines: list[dict]) -> None:
    """Points, each with its name beside it, and the tokens of the adaptive ones as bars."""
    adaptive = [line for line in lines if line["axes"]]
    middle = np.mean([line["tokens"] for line in adaptive])
    for line in lines:
        name, colour, marker = LOOKS.get(line["axes"]) or (line["title"], *canvas.look(line["method"]).values())
        at = (100 * line["tokens"], line["accuracy"])
        spread = (line["accuracy_std"] or None, 100 * (line["tokens_std"] or 0) or None)
        face = colour if line["retrained"] else "white"
        left.errorbar(*at, *spread, color=colour, marker=marker, mfc=face, capsize=2, ms=7)
        side = (
            {"xytext": (8, 3), "ha": "left"} if line["axes"] and line["tokens"] >= middle else {"xytext": (-8, 3), "ha": "right"}
        )
        left.annotate(named(line, adaptive, name), at, textcoords="offset points", color=colour, fontweight="bold", **side)
    left.set(xlabel="average tokens (% of 64)", ylabel="accuracy (%)", title=lines[0]["dataset"])
    left.margins(0.15)
    for place, line in enumerate(adaptive):
        fate_bars.bar(right, place, line)
    names = [named(line, adaptive, LOOKS[line["axes"]][0]) for line in adaptive]
    right.set(yticks=range(len(adaptive)), yticklabels=names, ylim=(len(adaptive) - 0.4, -0.6))
    fate_bars.scale(right)


def named(line: dict, adaptive: list[dict], name: str) -> str:
    """2D or 1D; with the evaluation's name where there are several of a kind."""
    several = line["axes"] and [other["axes"] for other in adaptive].count(line["axes"]) > 1
    return f"{name}{line['at'] if line['axes'] else ''}" + (f", {line['evaluation']}" if several else "")
