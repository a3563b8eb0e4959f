"""Plot energy by module and method (Fig. 8), STATIC at fewer timesteps too."""
# Tested in tests/pipeline/reporting/figures/test_ablations_and_energy.py

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
    """Draw a panel per data set and architecture, a bar per method and number of timesteps."""
    readings = campaign_results.table(campaign, "readings", evaluations)
    panels: dict[tuple, list[dict]] = {}
    seeds = []
    for name, seed_evaluations in campaign_results.by_name(evaluations).items():
        rows = readings[(readings.evaluation == name) & (readings.exit == "")]
        panel = panels.setdefault((rows.dataset_title.iloc[0], rows.architecture.iloc[0]), [])
        for timesteps in timesteps_shown(seed_evaluations[0]):
            seed_energies = [energy_of_seed(campaign, rows, e, timesteps) for e in seed_evaluations]
            panel.append(summarise(rows, seed_evaluations[0], seed_energies))
            seeds += seed_energies
    counts = [len(panel) for panel in panels.values()]
    size = {"width": 8.4, "height": 0.5 + 0.8 * len(panels) + 0.34 * sum(counts)}
    figure, axes = canvas.panels(len(panels), 1, **size, gridspec_kw={"height_ratios": [count + 1 for count in counts]})
    for axis, ((dataset, architecture), panel) in zip(axes[:, 0], panels.items()):
        paint(axis, f"{dataset}, {architecture} ({campaign_results.seeds(bar['n'] for bar in panel)})", panel)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(NAMES))
    bars = [bar for panel in panels.values() for bar in panel]
    caption = (
        f"Mean over {campaign_results.seeds(bar['n'] for bar in bars)}, whiskers their standard deviation; beside each bar its total and "
        "the change against STATIC at all timesteps, at the right the accuracy."
    )
    timesteps = {
        name: [bar["timesteps"] for bar in seed_evaluations]
        for name, seed_evaluations in campaign_results.grouped(bars, lambda bar: bar["evaluation"]).items()
    }
    return figure, {"caption": caption, "timesteps": timesteps, "bars": bars, "seeds": seeds}


def timesteps_shown(evaluation: Evaluation) -> list[int]:
    """List the timesteps T of an evaluation's bars: all it runs, those it was trained with, and for STATIC Fig. 8c's."""
    fewer = {FEWER} if evaluation.run.method == "static" else set()
    candidates = fewer | {evaluation.run.network["timesteps"], evaluation.timesteps}
    return sorted(t for t in candidates if t <= evaluation.timesteps)


def energy_of_seed(campaign: Campaign, rows: pd.DataFrame, evaluation: Evaluation, timesteps: int) -> dict:
    """Read one seed's energy in uJ per image of each module up to a timestep, and the accuracy (%) there."""
    modules = campaign_results.metrics_of(campaign, evaluation, "energy")["energy"]["modules"]
    uj_of_module = {name: float(modules[name][timesteps - 1]) for name in NAMES}
    row = rows[(rows.evaluation_id == evaluation.id) & (rows.timesteps == timesteps)].iloc[0]
    numbers = {"evaluation": evaluation.id, "run": evaluation.run.id, "timesteps": timesteps, "uJ": uj_of_module}
    return numbers | {"total": sum(uj_of_module.values()), "accuracy": float(row.accuracy)}


def summarise(rows: pd.DataFrame, evaluation: Evaluation, seeds: list[dict]) -> dict:
    """Summarise one evaluation at one number of timesteps over its seeds: a bar; energies in uJ per image."""
    timesteps, totals = seeds[0]["timesteps"], np.array([seed["total"] for seed in seeds])
    other_timesteps = timesteps != evaluation.timesteps or timesteps != evaluation.run.network["timesteps"]
    return {
        "title": rows.title.iloc[0] + (f" (T = {timesteps})" if other_timesteps else ""),
        "evaluation": evaluation.name,
        "method": evaluation.run.method,
        "dataset": rows.dataset_title.iloc[0],
        "architecture": rows.architecture.iloc[0],
        "timesteps": timesteps,
        "uJ": {name: float(np.mean([seed["uJ"][name] for seed in seeds])) for name in NAMES},
        "total": float(totals.mean()),
        "total_std": float(totals.std(ddof=1)) if len(seeds) > 1 else None,
        "accuracy": float(np.mean([seed["accuracy"] for seed in seeds])),
        "n": len(seeds),
    }


def signed_percent(ratio: float) -> str:
    """Write a ratio as a change in percent: +7 %, -61 %, ±0 %."""
    change = round(100 * (ratio - 1))
    return f"{change:+d} %" if change else "±0 %"


def paint(axis, title: str, panel: list[dict]) -> None:
    """Draw the stacked bars, their totals, changes and accuracies beside them."""
    unit, scale = number_formats.energy_unit(max(bar["total"] for bar in panel))
    static = next((bar for bar in reversed(panel) if bar["method"] == "static"), None)
    for y, bar in enumerate(panel):
        start = 0.0
        for name, label in NAMES.items():
            value = bar["uJ"][name] / scale
            axis.barh(y, value, left=start, height=0.72, color=canvas.MODULES[name], label=label if y == 0 else None)
            start += value
        spread = (bar["total_std"] or 0) / scale
        if bar["total_std"] is not None:
            axis.errorbar(start, y, xerr=spread, color="black", capsize=2, lw=1)
        change = "" if static in (None, bar) else f"  {signed_percent(bar['total'] / static['total'])}"
        axis.text(start + spread, y, f"  {number_formats.three_digits(start)}{change}", va="center", fontsize=8)
        axis.text(1, y, f"{bar['accuracy']:.1f} %", va="center", ha="right", fontsize=8, transform=axis.get_yaxis_transform())
    axis.set(yticks=range(len(panel)), yticklabels=[bar["title"] for bar in panel], ylim=(len(panel) - 0.4, -0.6))
    axis.set(xlabel=f"energy per image ({unit})", xlim=(0, 1.45 * max(bar["total"] for bar in panel) / scale))
    axis.set_title(title, loc="left")
    axis.set_title("accuracy", loc="right", fontsize=8)
    axis.grid(False, axis="y")
