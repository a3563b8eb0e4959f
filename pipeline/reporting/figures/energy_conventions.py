"""What a method saves under each convention of counting energy: the literature has several, and they disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.core import number_formats
from pipeline.core.energy_units import CONVENTIONS, PJ_PER_UJ
from pipeline.reporting.drawing import campaign_results, canvas
from pipeline.reporting.drawing.missing_data import MissingData

if TYPE_CHECKING:
    import pandas as pd


TITLE = "Energy under three conventions"
DEFINITION = (
    "Energy per image over that of STATIC of the same network and data, in percent. nonzero (the default): an input that is not 0 "
    "costs one accumulate; count: an input of 3 costs three, so that merging by sums saves nothing in the layers that read the sums; "
    "mac: layers that read counts are charged multiply-accumulates, zeros included. Hatched: the matching that merging needs, the "
    "same number of joules in all three."
)
MOST_EVALUATIONS = None
COLOURS = dict(zip(CONVENTIONS, (canvas.BLUE, canvas.ORANGE, canvas.GREEN)))
HEIGHT = 0.27  # of a bar, in methods


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A panel per data set and architecture, three bars per method."""
    readings, layers = (campaign_results.table(campaign, name, evaluations) for name in ("readings", "energy"))
    readings = campaign_results.at_all_timesteps(readings)
    matching = layers[layers.module == "matching"].groupby("evaluation_id").pJ_nonzero.sum() / PJ_PER_UJ
    seeds = [of_seed(row, matching) for row in readings.itertuples()]
    lines = [line(own, seeds) for _, own in readings.groupby("evaluation", sort=False)]
    panels = campaign_results.grouped(lines, lambda one: (one["dataset"], one["architecture"]))
    counts = [len(panel) for panel in panels.values()]
    size = {"width": 8, "height": 0.5 + 0.8 * len(panels) + 0.62 * sum(counts)}
    figure, axes = canvas.panels(len(panels), 1, **size, gridspec_kw={"height_ratios": [count + 0.6 for count in counts]})
    for axis, (title, panel) in zip(axes[:, 0], panels.items()):
        paint(axis, ", ".join(title), panel)
    legend(figure)
    caption = (
        f"Mean over {campaign_results.seeds(one['n'] for one in lines)}; beside each bar its percentage and the energy itself."
    )
    return figure, {"caption": caption, "lines": lines, "seeds": seeds}


def of_seed(row, matching: pd.Series) -> dict:
    """uJ per image by convention, and the matching's, which is the same in all."""
    told = {"evaluation": row.evaluation_id, "run": row.run, "matching": float(matching.get(row.evaluation_id, 0.0))}
    return told | {"uJ": {kind: float(getattr(row, f"energy_{kind}")) for kind in CONVENTIONS}}


def line(own: pd.DataFrame, seeds: list[dict]) -> dict:
    """One evaluation over its seeds."""
    first, same = own.iloc[0], [seed for seed in seeds if seed["evaluation"] in set(own.evaluation_id)]
    told = {"evaluation": first.evaluation, "title": first.title, "method": first.method, "dataset": first.dataset_title}
    told |= {"architecture": first.architecture, "n": len(same)}
    told |= {"uJ": {kind: float(np.mean([seed["uJ"][kind] for seed in same])) for kind in CONVENTIONS}}
    return told | {"matching": float(np.mean([seed["matching"] for seed in same]))}


def paint(axis, title: str, lines: list[dict]) -> None:
    """Bars relative to the panel's STATIC."""
    static = next((one for one in lines if one["method"] == "static"), None)
    if static is None:
        raise MissingData(f"{title} lacks STATIC, which all others are compared with: name its evaluation for this figure")
    for place, one in enumerate(lines):
        for k, kind in enumerate(CONVENTIONS):
            whole, at = static["uJ"][kind] / 100, place + (k - 1) * HEIGHT
            share = one["uJ"][kind] / whole
            axis.barh(at, share, HEIGHT, color=COLOURS[kind])
            axis.barh(at, one["matching"] / whole, HEIGHT, color="none", edgecolor="white", hatch="////", lw=0)
            text = f"{share:.0f} %  ({amount(one['uJ'][kind])})"
            axis.text(share + 1, at, text, va="center", fontsize=7, bbox={"fc": "white", "ec": "none", "pad": 0.5})
    most = max(one["uJ"][kind] / static["uJ"][kind] for one in lines for kind in CONVENTIONS)
    axis.axvline(100, color=canvas.GREY, lw=0.8, zorder=0.5)
    axis.set(yticks=range(len(lines)), yticklabels=[one["title"] for one in lines], ylim=(len(lines) - 0.5, -0.5))
    axis.set(xlabel="energy per image (% of STATIC)", xlim=(0, 100 * most + 22))
    axis.set_title(title, loc="left")
    axis.grid(False, axis="y")


def amount(value: float) -> str:
    """uJ with its unit, mJ where it is many."""
    unit, scale = number_formats.energy_unit(value)
    return f"{number_formats.three_digits(value / scale)} {unit}"


def legend(figure) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, label=kind) for kind, colour in COLOURS.items()]
    patches.append(Patch(facecolor=canvas.GREY, edgecolor="white", hatch="////", lw=0, label="of it matching"))
    figure.legend(handles=patches, loc="outside upper center", ncols=len(patches))
