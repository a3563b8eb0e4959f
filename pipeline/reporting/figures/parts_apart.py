"""Compare merging alone, halting alone and both: what each saves and costs; the paper shows both together only."""
# Tested in tests/pipeline/reporting/figures/test_ablations_and_energy.py

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
SEED_KEYS = ("evaluation", "run", "accuracy", "minus_control")


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a row of panels per data set, a line per evaluation."""
    readings = campaign_results.at_all_timesteps(campaign_results.table(campaign, "readings", evaluations))
    rows, seeds = [], []
    for data_evaluations in campaign_results.by_data(evaluations).values():
        entries = numbers_of_seeds(campaign, readings, data_evaluations)
        rows.append([summarise(group) for group in campaign_results.grouped(entries, lambda seed: seed["name"]).values()])
        seeds += [{key: seed[key] for key in (*SEED_KEYS, *fate_bars.COLOURS)} for seed in entries]
    lines = [line for row in rows for line in row]
    return fate_bars.beside(rows, paint), {"caption": caption(lines), "lines": lines, "seeds": seeds}


def numbers_of_seeds(campaign: Campaign, readings: pd.DataFrame, evaluations: list[Evaluation]) -> list[dict]:
    """Collect the numbers of each evaluation and seed of a data set, with accuracy (%) minus its control's.

    The control is STATIC, retrained, of the same pretrained network and timesteps.
    Raises MissingData where the data set has none.
    """
    import pandas as pd

    by_id = readings.set_index("evaluation_id").loc[[e.id for e in evaluations]]
    control = by_id[by_id.method == "static_control"]
    if control.empty:
        raise MissingData(
            f"{evaluations[0].run.data.name} lacks STATIC, retrained, which all are compared with: name it for this figure"
        )
    key = [pretrained(by_id), by_id.timesteps]
    control = control.groupby([pretrained(control), control.timesteps]).accuracy.first()
    minus = by_id.accuracy - control.reindex(pd.MultiIndex.from_arrays(key)).set_axis(by_id.index)
    return [
        {"evaluation": e.id, "run": e.run.id, "name": e.name}
        | {"title": by_id.title[e.id], "method": by_id.method[e.id], "dataset": by_id.dataset_title[e.id]}
        | {"accuracy": float(by_id.accuracy[e.id]), "minus_control": None if np.isnan(minus[e.id]) else float(minus[e.id])}
        | fate_bars.shares(campaign, e)
        for e in evaluations
    ]


def summarise(seeds: list[dict]) -> dict:
    """Summarise one evaluation over its seeds."""
    line = {"evaluation": seeds[0]["name"]} | {key: seeds[0][key] for key in ("title", "method", "dataset")} | {"n": len(seeds)}
    accuracy = np.array([seed["accuracy"] for seed in seeds])
    line |= {"accuracy": float(accuracy.mean()), "accuracy_std": float(accuracy.std(ddof=1)) if len(seeds) > 1 else None}
    line |= {key: float(np.mean([seed[key] for seed in seeds])) for key in fate_bars.COLOURS}
    return line | {"minus_control": [seed["minus_control"] for seed in seeds if seed["minus_control"] is not None]}


def caption(lines: list[dict]) -> str:
    """Write the caption: how many seeds, which lines lack a control, and whether nothing merges or halts."""
    text = f"Mean and standard deviation over {campaign_results.seeds(line['n'] for line in lines)}; dots are seeds."
    if uncontrolled := [line["title"] for line in lines if not line["minus_control"]]:
        text += f" No STATIC, retrained, of the same network and T: {'; '.join(uncontrolled)}."
    for key, words in (("merged", "Nothing is merged away."), ("halted", "Nothing halts before the last block.")):
        text += "" if any(line[key] for line in lines) else f" {words}"
    return text


def paint(left, right, lines: list[dict]) -> None:
    """Draw differences in accuracy (points), and shares of tokens as bars."""
    left.axvline(0, color=canvas.GREY, lw=1)
    for place, line in enumerate(lines):
        look, minus = canvas.look(line["method"]), np.array(line["minus_control"])
        if len(minus):
            left.plot(minus, [place] * len(minus), ".", color=look["color"], alpha=0.6)
            spread = minus.std(ddof=1) if len(minus) > 1 and minus.any() else None  # the control is its own reference
            left.errorbar(minus.mean(), place, xerr=spread, capsize=2, ms=7, **look)
        fate_bars.bar(right, place, line)
    labels = [f"{line['title']}\n{fate_bars.with_spread(line)} %" for line in lines]
    left.set(yticks=range(len(lines)), yticklabels=labels, title=lines[0]["dataset"], ylim=(len(lines) - 0.5, -0.5))
    left.set_xlabel("accuracy minus STATIC, retrained (points)")
    fate_bars.scale(right)
