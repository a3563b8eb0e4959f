"""Merging and halting apart: what each saves and costs alone, and both together; the paper shows both together only."""

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


TITLE = "Merging only, halting only, both"
DEFINITION = (
    "Each part of AT-SNN retrained alone, beside both together. Left: accuracy minus that of STATIC, retrained (as long as they "
    "were), seed by seed: dots are seeds, the large marker their mean with the standard deviation; the accuracy itself stands "
    "below the name. Right: where the tokens went, mean over blocks, timesteps, images and seeds."
)
MOST_EVALUATIONS = None
SEED = ("evaluation", "run", "accuracy", "minus_control")


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A row of panels per data set, a line per evaluation."""
    readings = campaign_results.at_all_timesteps(campaign_results.table(campaign, "readings", evaluations))
    rows, seeds = [], []
    for own in campaign_results.by_data(evaluations).values():
        of_seeds = told(campaign, readings, own)
        rows.append([summarise(same) for same in campaign_results.grouped(of_seeds, lambda seed: seed["name"]).values()])
        seeds += [{key: seed[key] for key in (*SEED, *fate_bars.COLOURS)} for seed in of_seeds]
    lines = [line for own in rows for line in own]
    return fate_bars.beside(rows, paint), {"caption": caption(lines), "lines": lines, "seeds": seeds}


def told(campaign: Campaign, readings: pd.DataFrame, own: list[Evaluation]) -> list[dict]:
    """A line per evaluation and seed of a data set, with its accuracy minus the control's of the same pretrained network."""
    import pandas as pd

    read = readings.set_index("evaluation_id").loc[[e.id for e in own]]
    control = read[read.method == "static_control"]
    if control.empty:
        raise MissingData(f"{own[0].run.data.name} lacks STATIC, retrained, which all are compared with: name it for this figure")
    key = [pretrained(read), read.timesteps]
    control = control.groupby([pretrained(control), control.timesteps]).accuracy.first()
    minus = read.accuracy - control.reindex(pd.MultiIndex.from_arrays(key)).set_axis(read.index)
    return [
        {"evaluation": e.id, "run": e.run.id, "name": e.name}
        | {"title": read.title[e.id], "method": read.method[e.id], "dataset": read.dataset_title[e.id]}
        | {"accuracy": float(read.accuracy[e.id]), "minus_control": None if np.isnan(minus[e.id]) else float(minus[e.id])}
        | fate_bars.shares(campaign, e)
        for e in own
    ]


def summarise(same: list[dict]) -> dict:
    """One evaluation over its seeds."""
    line = {"evaluation": same[0]["name"]} | {key: same[0][key] for key in ("title", "method", "dataset")} | {"n": len(same)}
    accuracy = np.array([seed["accuracy"] for seed in same])
    line |= {"accuracy": float(accuracy.mean()), "accuracy_std": float(accuracy.std(ddof=1)) if len(same) > 1 else None}
    line |= {key: float(np.mean([seed[key] for seed in same])) for key in fate_bars.COLOURS}
    return line | {"minus_control": [seed["minus_control"] for seed in same if seed["minus_control"] is not None]}


def caption(lines: list[dict]) -> str:
    text = f"Mean and standard deviation over {campaign_results.seeds(line['n'] for line in lines)}; dots are seeds."
    if alone := [line["title"] for line in lines if not line["minus_control"]]:
        text += f" No STATIC, retrained, of the same network and T: {'; '.join(alone)}."
    for key, words in (("merged", "Nothing is merged away."), ("halted", "Nothing halts before the last block.")):
        text += "" if any(line[key] for line in lines) else f" {words}"
    return text


def paint(left, right, lines: list[dict]) -> None:
    """Differences in accuracy, and shares of tokens as bars."""
    left.axvline(0, color=canvas.GREY, lw=1)
    for place, line in enumerate(lines):
        look, minus = canvas.look(line["method"]), np.array(line["minus_control"])
        if len(minus):
            left.plot(minus, [place] * len(minus), ".", color=look["color"], alpha=0.6)
            spread = minus.std(ddof=1) if len(minus) > 1 and minus.any() else None  # the control is its own reference
            left.errorbar(minus.mean(), place, xerr=spread, capsize=2, ms=7, **look)
        fate_bars.bar(right, place, line)
    named = [f"{line['title']}\n{fate_bars.with_spread(line)} %" for line in lines]
    left.set(yticks=range(len(lines)), yticklabels=named, title=lines[0]["dataset"], ylim=(len(lines) - 0.5, -0.5))
    left.set_xlabel("accuracy minus STATIC, retrained (points)")
    fate_bars.scale(right)
