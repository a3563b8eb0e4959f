"""Merging and halting apart: what each saves and costs alone, and both together; the paper shows both together only."""

import numpy as np
import pandas as pd

from pipeline import canvas, shown
from pipeline.campaign import Campaign
from pipeline.identity import Evaluation
from pipeline.savings import pretrained

TITLE = "Merging only, halting only, both"
DEFINITION = (
    "Each part of AT-SNN retrained alone, beside both together. Left: accuracy minus that of STATIC, retrained (as long as they "
    "were), seed by seed. Right: where the tokens went, mean over blocks and timesteps."
)
MOST_EVALUATIONS = None
PARTS = {"computed": "#D9D9D9", "merged": canvas.MERGED, "halted": canvas.HALTED}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A row of panels per data set, a line per evaluation."""
    readings = shown.table(campaign, "readings", evaluations)
    readings = readings[(readings.exit == "") & (readings.timesteps == readings.trained_timesteps)]
    groups = shown.by_data(evaluations)
    rows = [summarise(campaign, readings, own) for own in groups.values()]
    figure, axes = canvas.panels(len(groups), 2, width=9, height=len(groups) * (0.9 + 0.36 * max(map(len, rows))), sharey="row")
    for (left, right), lines in zip(axes, rows):
        paint(left, right, lines)
    axes[0, 1].legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    lines = [line for own in rows for line in own]
    halted = sum(line["halted"] for line in lines)
    caption = f"Mean and standard deviation over n = {max(line['n'] for line in lines)} seeds; dots are seeds."
    caption += "" if halted else " Nothing halts before the last block."
    return figure, {"caption": caption, "lines": lines}


def summarise(campaign: Campaign, readings: pd.DataFrame, own: list[Evaluation]) -> list[dict]:
    """What each evaluation of a data set says, and its accuracy minus the control's of the same pretrained network."""
    control = readings[readings.evaluation_id.isin([e.id for e in own if e.run.method == "static_control"])]
    control = control.set_index(pretrained(control)).accuracy
    lines = []
    for name in dict.fromkeys(e.name for e in own):
        same = [e for e in own if e.name == name]
        read = readings[readings.evaluation_id.isin([e.id for e in same])]
        accuracy = read.set_index(pretrained(read)).accuracy
        minus = (accuracy - control.reindex(accuracy.index)).dropna()
        shares = {
            key: float(np.mean([shown.metrics_of(campaign, e, f"{key}_by_block")[f"{key}_by_block"] for e in same]))
            for key in ("merged", "halted")
        }
        told = {
            "evaluation": name,
            "title": read.title.iloc[0],
            "method": read.method.iloc[0],
            "dataset": read.dataset_title.iloc[0],
        }
        told |= {"n": len(read), "accuracy": float(accuracy.mean()), "computed": 1 - sum(shares.values()), **shares}
        lines.append(told | {"minus_control": minus.tolist()})
    return lines


def paint(left, right, lines: list[dict]) -> None:
    """Differences in accuracy, and shares of tokens as bars."""
    left.axvline(0, color=canvas.GREY, lw=1)
    for place, line in enumerate(lines):
        look, minus = canvas.look(line["method"]), np.array(line["minus_control"])
        if len(minus):
            left.plot(minus, [place] * len(minus), ".", color=look["color"], alpha=0.6)
            left.errorbar(minus.mean(), place, xerr=minus.std(ddof=1) if len(minus) > 1 else None, capsize=2, ms=7, **look)
        start = 0.0
        for key, colour in PARTS.items():
            right.barh(place, line[key], left=start, height=0.7, color=colour, label=key if place == 0 else None)
            if line[key] > 0.05:
                right.text(start + line[key] / 2, place, f"{line[key]:.2f}", ha="center", va="center", fontsize=8)
            start += line[key]
    left.set(yticks=range(len(lines)), yticklabels=[line["title"] for line in lines], title=lines[0]["dataset"])
    left.set(xlabel="accuracy minus STATIC, retrained (points)", ylim=(len(lines) - 0.5, -0.5))
    right.set(xlabel="share of the 64 tokens", xlim=(0, 1))
    right.grid(False)
