"""Energy by module and method (Fig. 8), STATIC at fewer timesteps too."""

import numpy as np

from pipeline import canvas, shown
from pipeline.campaign import Campaign
from pipeline.identity import Evaluation

TITLE = "Energy by module (Fig. 8)"
DEFINITION = (
    "Energy per image over the test set: 4.6 pJ per multiply-accumulate (first convolution, head, matching) and 0.9 pJ per accumulate "
    "(every other layer: share of non-zero inputs times operations, on live tokens), 45 nm, Horowitz 2014. SPS: patch splitting; "
    "SSA: attention; matching: what merging itself compares, which the paper's figure does not show. STATIC at T = 3 as in Fig. 8c."
)
MOST_EVALUATIONS = None
NAMES = {"sps": "SPS", "ssa": "SSA", "mlp": "MLP", "head": "head", "matching": "matching"}
FEWER = 3  # timesteps of STATIC in Fig. 8c
PER_MILLI, MILLI_FROM = 1000.0, 100.0  # uJ per mJ; from how many uJ on a panel is in mJ


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A panel per data set and architecture, a bar per method."""
    readings = shown.table(campaign, "readings", evaluations)
    groups: dict[tuple, list[dict]] = {}
    for name in dict.fromkeys(e.name for e in evaluations):
        same = [e for e in evaluations if e.name == name]
        own = readings[(readings.evaluation == name) & (readings.exit == "")]
        panel = groups.setdefault((own.dataset_title.iloc[0], own.architecture.iloc[0]), [])
        for timesteps in (FEWER, same[0].timesteps) if is_static(same[0]) else (same[0].timesteps,):
            panel.append(bar(campaign, own, same, timesteps))
    counts = [len(panel) for panel in groups.values()]
    figure, axes = canvas.panels(
        len(groups),
        1,
        width=8,
        height=0.9 * len(groups) + 0.34 * sum(counts),
        gridspec_kw={"height_ratios": [c + 1 for c in counts]},
    )
    for axis, ((dataset, architecture), panel) in zip(axes[:, 0], groups.items()):
        paint(axis, f"{dataset}, {architecture}", panel)
    axes[0, 0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.12), ncols=len(NAMES))
    bars = [one for panel in groups.values() for one in panel]
    caption = f"Mean over n = {max(one['n'] for one in bars)} seeds; beside each bar its total, the change against STATIC at all timesteps, and the accuracy."
    return figure, {"caption": caption, "bars": bars}


def is_static(evaluation: Evaluation) -> bool:
    return evaluation.run.method == "static" and evaluation.timesteps > FEWER


def bar(campaign: Campaign, own, same: list[Evaluation], timesteps: int) -> dict:
    """uJ per image of each module, mean over seeds, up to a timestep."""
    told = [shown.metrics_of(campaign, e, "energy")["energy"]["modules"] for e in same]
    modules = {name: float(np.mean([modules[name][timesteps - 1] for modules in told])) for name in NAMES}
    read = own[own.timesteps == timesteps]
    title = own.title.iloc[0] + (f", T = {timesteps}" if timesteps != same[0].run.network["timesteps"] else "")
    return {
        "title": title,
        "evaluation": same[0].name,
        "method": same[0].run.method,
        "dataset": own.dataset_title.iloc[0],
        "architecture": own.architecture.iloc[0],
        "timesteps": timesteps,
        "uJ": modules,
        "total": sum(modules.values()),
        "accuracy": float(read.accuracy.mean()),
        "n": len(same),
    }


def paint(axis, title: str, panel: list[dict]) -> None:
    """Stacked bars, with words at their ends."""
    milli = max(one["total"] for one in panel) >= MILLI_FROM
    unit, scale = ("mJ", PER_MILLI) if milli else ("µJ", 1.0)
    whole = next((one["total"] for one in reversed(panel) if one["method"] == "static"), None)
    for place, one in enumerate(panel):
        start = 0.0
        for name, label in NAMES.items():
            value = one["uJ"][name] / scale
            axis.barh(place, value, left=start, height=0.72, color=canvas.MODULES[name], label=label if place == 0 else None)
            start += value
        change = "" if whole is None or one["total"] == whole else f", {round(100 * (one['total'] / whole - 1)):+d} %"
        axis.text(start, place, f"  {start:.3g} {unit}{change};  {one['accuracy']:.1f} %", va="center", fontsize=8)
    axis.set(yticks=range(len(panel)), yticklabels=[one["title"] for one in panel], ylim=(len(panel) - 0.4, -0.6))
    axis.set(xlabel=f"energy per image ({unit})", xlim=(0, 1.38 * max(one["total"] for one in panel) / scale))
    axis.set_title(title, loc="left")
    axis.grid(False, axis="y")
