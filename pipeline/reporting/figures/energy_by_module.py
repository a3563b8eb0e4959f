"""Energy by module and method (Fig. 8), STATIC at fewer timesteps too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.core import number_formats
from pipeline.reporting.drawing import campaign_results, canvas

if TYPE_CHECKING:
    import pandas as pd


TITLE = "Energy by module (Fig. 8)"
DEFINITION = (
    "Energy per image over the test set: 4.6 pJ per multiply-accumulate (first convolution, head, matching) and 0.9 pJ per accumulate "
    "(every other layer: share of non-zero inputs times operations, on live tokens), 45 nm, Horowitz 2014. SPS: patch splitting; "
    "SSA: attention; matching: what merging itself compares, which the paper's figure does not show. STATIC at T = 3 as in Fig. 8c. "
    "Reading: the paper says neither at which T its methods stand in Fig. 8 nor whether matching counts; here each is at all timesteps "
    "and at those it was trained with, without exits, and matching counts."
)
MOST_EVALUATIONS = None
NAMES = {"sps": "SPS", "ssa": "SSA", "mlp": "MLP", "head": "head", "matching": "matching"}
FEWER = 3  # timesteps of STATIC in Fig. 8c


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A panel per data set and architecture, a bar per method."""
    readings = campaign_results.table(campaign, "readings", evaluations)
    groups: dict[tuple, list[dict]] = {}
    seeds = []
    for name, same in campaign_results.by_name(evaluations).items():
        own = readings[(readings.evaluation == name) & (readings.exit == "")]
        panel = groups.setdefault((own.dataset_title.iloc[0], own.architecture.iloc[0]), [])
        for timesteps in shown_at(same[0]):
            told = [of_seed(campaign, own, e, timesteps) for e in same]
            panel.append(bar(own, same[0], told))
            seeds += told
    counts = [len(panel) for panel in groups.values()]
    size = {"width": 8.4, "height": 0.5 + 0.8 * len(groups) + 0.34 * sum(counts)}
    figure, axes = canvas.panels(len(groups), 1, **size, gridspec_kw={"height_ratios": [count + 1 for count in counts]})
    for axis, ((dataset, architecture), panel) in zip(axes[:, 0], groups.items()):
        paint(axis, f"{dataset}, {architecture} ({campaign_results.seeds(one['n'] for one in panel)})", panel)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(NAMES))
    bars = [one for panel in groups.values() for one in panel]
    caption = (
        f"Mean over {campaign_results.seeds(one['n'] for one in bars)}, whiskers their standard deviation; beside each bar its total and "
        "the change against STATIC at all timesteps, at the right the accuracy."
    )
    timesteps = {
        name: [b["timesteps"] for b in same] for name, same in campaign_results.grouped(bars, lambda b: b["evaluation"]).items()
    }
    return figure, {"caption": caption, "timesteps": timesteps, "bars": bars, "seeds": seeds}


def shown_at(evaluation: Evaluation) -> list[int]:
    """The timesteps of its bars: all it runs, those it was trained with, and for STATIC Fig. 8c's."""
    fewer = {FEWER} if evaluation.run.method == "static" else set()
    wanted = fewer | {evaluation.run.network["timesteps"], evaluation.timesteps}
    return sorted(t for t in wanted if t <= evaluation.timesteps)


def of_seed(campaign: Campaign, own: pd.DataFrame, evaluation: Evaluation, timesteps: int) -> dict:
    """uJ per image of each module, up to a timestep, and the accuracy there."""
    modules = campaign_results.metrics_of(campaign, evaluation, "energy")["energy"]["modules"]
    spent = {name: float(modules[name][timesteps - 1]) for name in NAMES}
    read = own[(own.evaluation_id == evaluation.id) & (own.timesteps == timesteps)].iloc[0]
    told = {"evaluation": evaluation.id, "run": evaluation.run.id, "timesteps": timesteps, "uJ": spent}
    return told | {"total": sum(spent.values()), "accuracy": float(read.accuracy)}


def bar(own: pd.DataFrame, evaluation: Evaluation, seeds: list[dict]) -> dict:
    """One method over its seeds."""
    timesteps, totals = seeds[0]["timesteps"], np.array([seed["total"] for seed in seeds])
    elsewhere = timesteps != evaluation.timesteps or timesteps != evaluation.run.network["timesteps"]
    return {
        "title": own.title.iloc[0] + (f" (T = {timesteps})" if elsewhere else ""),
        "evaluation": evaluation.name,
        "method": evaluation.run.method,
        "dataset": own.dataset_title.iloc[0],
        "architecture": own.architecture.iloc[0],
        "timesteps": timesteps,
        "uJ": {name: float(np.mean([seed["uJ"][name] for seed in seeds])) for name in NAMES},
        "total": float(totals.mean()),
        "total_std": float(totals.std(ddof=1)) if len(seeds) > 1 else None,
        "accuracy": float(np.mean([seed["accuracy"] for seed in seeds])),
        "n": len(seeds),
    }


def signed_percent(ratio: float) -> str:
    """A change as a ratio: +7 %, -61 %, ± 0 %."""
    change = round(100 * (ratio - 1))
    return f"{change:+d} %" if change else "±0 %"


def paint(axis, title: str, panel: list[dict]) -> None:
    """Stacked bars, with words at their ends."""
    unit, scale = number_formats.energy_unit(max(one["total"] for one in panel))
    whole = next((one for one in reversed(panel) if one["method"] == "static"), None)
    for place, one in enumerate(panel):
        start = 0.0
        for name, label in NAMES.items():
            value = one["uJ"][name] / scale
            axis.barh(place, value, left=start, height=0.72, color=canvas.MODULES[name], label=label if place == 0 else None)
            start += value
        spread = (one["total_std"] or 0) / scale
        if one["total_std"] is not None:
            axis.errorbar(start, place, xerr=spread, color="black", capsize=2, lw=1)
        change = "" if whole in (None, one) else f"  {signed_percent(one['total'] / whole['total'])}"
        axis.text(start + spread, place, f"  {number_formats.three_digits(start)}{change}", va="center", fontsize=8)
        axis.text(1, place, f"{one['accuracy']:.1f} %", va="center", ha="right", fontsize=8, transform=axis.get_yaxis_transform())
    axis.set(yticks=range(len(panel)), yticklabels=[one["title"] for one in panel], ylim=(len(panel) - 0.4, -0.6))
    axis.set(xlabel=f"energy per image ({unit})", xlim=(0, 1.45 * max(one["total"] for one in panel) / scale))
    axis.set_title(title, loc="left")
    axis.set_title("accuracy", loc="right", fontsize=8)
    axis.grid(False, axis="y")
