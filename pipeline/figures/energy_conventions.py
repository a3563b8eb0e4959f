"""What a method saves under each convention of counting energy: the literature has several, and they disagree."""

import numpy as np

from pipeline import canvas, shown
from pipeline.campaign import Campaign
from pipeline.identity import Evaluation
from pipeline.readings import CONVENTIONS

TITLE = "Energy under three conventions"
DEFINITION = (
    "Energy per image over that of STATIC of the same network and data, in percent. nonzero (the default): an input that is not 0 "
    "costs one accumulate; count: an input of 3 costs three, so that merging by sums saves nothing in the layers that read the sums; "
    "mac: layers that read counts are charged multiply-accumulates, zeros included. Hatched: the matching that merging needs."
)
MOST_EVALUATIONS = None
COLOURS = dict(zip(CONVENTIONS, (canvas.BLUE, canvas.ORANGE, canvas.GREEN)))


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A panel per data set and architecture, three bars per method."""
    readings, layers = (shown.table(campaign, name, evaluations) for name in ("readings", "energy"))
    readings = readings[(readings.exit == "") & (readings.timesteps == readings.trained_timesteps)]
    matching = layers[layers.module == "matching"].groupby("evaluation_id").pJ_nonzero.sum() / 1e6
    lines = [line(readings[readings.evaluation == name], matching) for name in dict.fromkeys(readings.evaluation)]
    panels = list(dict.fromkeys((one["dataset"], one["architecture"]) for one in lines))
    figure, axes = canvas.panels(1, len(panels), width=max(5.6, 4.4 * len(panels)), height=3.8)
    for axis, panel in zip(axes[0], panels):
        paint(axis, panel, [one for one in lines if (one["dataset"], one["architecture"]) == panel])
    axes[0, 0].set_ylabel("energy, STATIC = 100 %")
    axes[0, -1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure, {"caption": f"Mean over n = {max(one['n'] for one in lines)} seeds.", "lines": lines}


def line(own, matching) -> dict:
    """uJ per image by convention, and the matching's, which is the same in all."""
    first = own.iloc[0]
    told = {"evaluation": first.evaluation, "title": first.title, "method": first.method, "dataset": first.dataset_title}
    told |= {
        "architecture": first.architecture,
        "n": len(own),
        "uJ": {kind: float(own[f"energy_{kind}"].mean()) for kind in CONVENTIONS},
    }
    return told | {"matching": float(np.mean([matching.get(e, 0.0) for e in own.evaluation_id]))}


def paint(axis, panel: tuple[str, str], lines: list[dict]) -> None:
    """Bars relative to the panel's STATIC; without one, to the first line."""
    static = next((one for one in lines if one["method"] == "static"), lines[0])
    width = 0.8 / len(CONVENTIONS)
    for place, one in enumerate(lines):
        for k, kind in enumerate(CONVENTIONS):
            whole, at = static["uJ"][kind], place + (k - 1) * width
            axis.bar(at, 100 * one["uJ"][kind] / whole, width, color=COLOURS[kind], label=f"{kind}" if place == 0 else None)
            axis.bar(at, 100 * one["matching"] / whole, width, color="none", edgecolor="white", hatch="////", lw=0)
            axis.text(
                at,
                100 * one["uJ"][kind] / whole + 1,
                f"{100 * one['uJ'][kind] / whole:.0f}",
                ha="center",
                va="bottom",
                fontsize=7,
            )
    absolute = ", ".join(f"{kind} {static['uJ'][kind]:.3g}" for kind in CONVENTIONS)
    axis.set_title(f"{', '.join(panel)}\nSTATIC: {absolute} µJ", fontsize=9)
    axis.axhline(100, color=canvas.GREY, lw=0.8)
    axis.set_xticks(range(len(lines)), [one["title"] for one in lines], rotation=20, ha="right")
    axis.grid(False, axis="x")
