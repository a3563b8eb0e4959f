"""Merging and halting apart: what each saves and costs alone, and both together; the paper shows both together only."""

import numpy as np
import pandas as pd

from pipeline import canvas, shown
from pipeline.campaign import Campaign
from pipeline.figures import MissingData
from pipeline.identity import Evaluation
from pipeline.savings import pretrained

TITLE = "Merging only, halting only, both"
DEFINITION = (
    "Each part of AT-SNN retrained alone, beside both together. Left: accuracy minus that of STATIC, retrained (as long as they "
    "were), seed by seed: dots are seeds, the large marker their mean with the standard deviation; the accuracy itself stands "
    "below the name. Right: where the tokens went, mean over blocks, timesteps, images and seeds."
)
MOST_EVALUATIONS = None
PARTS = {"computed": canvas.COMPUTED, "merged": canvas.MERGED, "halted": canvas.HALTED}
NAMES = {"computed": "computed", "merged": "merged away", "halted": "halted"}
INK = {"computed": "black", "merged": "black", "halted": "white"}
SEED = ("evaluation", "run", "accuracy", "minus_control")
WIDE = 0.08  # a share from which on its number fits into the bar


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A row of panels per data set, a line per evaluation."""
    readings = last(shown.table(campaign, "readings", evaluations))
    rows, seeds = [], []
    for own in shown.by_data(evaluations).values():
        of_seeds = told(campaign, readings, own)
        names = dict.fromkeys(seed["name"] for seed in of_seeds)
        rows.append([summarise([seed for seed in of_seeds if seed["name"] == name]) for name in names])
        seeds += [{key: seed[key] for key in (*SEED, *PARTS)} for seed in of_seeds]
    heights = [len(lines) for lines in rows]
    size = {"width": 9.4, "height": sum(0.9 + 0.46 * height for height in heights)}
    options = {"sharey": "row", "gridspec_kw": {"height_ratios": heights}}
    figure, axes = canvas.panels(len(rows), 2, **size, **options)
    for (left, right), lines in zip(axes, rows):
        paint(left, right, lines)
    legend(figure, axes[0, 1])
    lines = [line for own in rows for line in own]
    return figure, {"caption": caption(lines), "lines": lines, "seeds": seeds}


def last(readings: pd.DataFrame) -> pd.DataFrame:
    """Each evaluation at the timesteps that its network was trained with, no exits."""
    return readings[(readings.exit == "") & (readings.timesteps == readings.trained_timesteps)]


def fates(campaign: Campaign, evaluation: Evaluation) -> dict:
    """Shares of an image's tokens that were merged away, halted and computed, over blocks, timesteps and images."""
    metrics = shown.metrics_of(campaign, evaluation, "merged_by_block", "halted_by_block")
    merged, halted = (float(np.mean(metrics[f"{key}_by_block"])) for key in ("merged", "halted"))
    return {"merged": merged, "halted": halted, "computed": 1 - merged - halted}


def told(campaign: Campaign, readings: pd.DataFrame, own: list[Evaluation]) -> list[dict]:
    """A line per evaluation and seed of a data set, with its accuracy minus the control's of the same pretrained network."""
    read = readings.set_index("evaluation_id").loc[[e.id for e in own]]
    control = read[read.method == "static_control"]
    if control.empty:
        raise MissingData(f"{own[0].run.data.name} lacks STATIC, retrained, which all are compared with: name it for this figure")
    control = control.set_index(pretrained(control)).accuracy
    minus = read.accuracy - control.reindex(pretrained(read)).set_axis(read.index)
    return [
        {"evaluation": e.id, "run": e.run.id, "name": e.name}
        | {"title": read.title[e.id], "method": read.method[e.id], "dataset": read.dataset_title[e.id]}
        | {"accuracy": float(read.accuracy[e.id]), "minus_control": None if np.isnan(minus[e.id]) else float(minus[e.id])}
        | fates(campaign, e)
        for e in own
    ]


def summarise(same: list[dict]) -> dict:
    """One evaluation over its seeds."""
    line = {"evaluation": same[0]["name"]} | {key: same[0][key] for key in ("title", "method", "dataset")} | {"n": len(same)}
    accuracy = np.array([seed["accuracy"] for seed in same])
    line |= {"accuracy": float(accuracy.mean()), "accuracy_std": float(accuracy.std(ddof=1)) if len(same) > 1 else None}
    line |= {key: float(np.mean([seed[key] for seed in same])) for key in PARTS}
    return line | {"minus_control": [seed["minus_control"] for seed in same if seed["minus_control"] is not None]}


def caption(lines: list[dict]) -> str:
    text = f"Mean and standard deviation over {shown.seeds(line['n'] for line in lines)}; dots are seeds."
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
            spread = minus.std(ddof=1) if len(minus) > 1 and minus.any() else None
            left.errorbar(minus.mean(), place, xerr=spread, capsize=2, ms=7, **look)
        fate_bar(right, place, line)
    named = [f"{line['title']}\n{with_spread(line)} %" for line in lines]
    left.set(yticks=range(len(lines)), yticklabels=named, title=lines[0]["dataset"], ylim=(len(lines) - 0.5, -0.5))
    left.set_xlabel("accuracy minus STATIC, retrained (points)")
    tokens_axis(right)


def with_spread(line: dict) -> str:
    spread = "" if line["accuracy_std"] is None else f" ± {line['accuracy_std']:.1f}"
    return f"{line['accuracy']:.1f}{spread}"


def fate_bar(axis, place: float, shares: dict) -> None:
    """A bar of all tokens, in percent; a part that is too narrow for its number is named at the bar's end."""
    start, narrow = 0.0, []
    for key, colour in PARTS.items():
        style = {"color": colour, "edgecolor": "#555555", "linewidth": 0.6, "height": 0.7}
        axis.barh(place, 100 * shares[key], left=start, label=NAMES[key] if place == 0 else None, **style)
        text = f"{100 * shares[key]:.1f}" if shares[key] >= 5e-4 else "< 0.1"
        if shares[key] >= WIDE:
            at = start + 50 * shares[key]
            axis.text(at, place, text, ha="center", va="center", fontsize=8, color=INK[key])
        elif shares[key] > 1e-9:
            narrow.append(f"{text} {NAMES[key]}")
        start += 100 * shares[key]
    axis.text(101.5, place, "\n".join(narrow), va="center", fontsize=8)


def tokens_axis(axis) -> None:
    axis.set(xlabel="tokens (% of 64)", xlim=(0, 100.4))
    axis.grid(False)
    axis.tick_params(axis="y", length=0)


def legend(figure, axis) -> None:
    """Of the bars' parts, above an axis that has them."""
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(PARTS))
