"""Compare what a method saves under each convention of counting energy: the literature has several, and they disagree."""
# Tested in tests/pipeline/reporting/figures/test_ablations_and_energy.py

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
BAR_HEIGHT = 0.27  # of a bar; methods are 1 apart


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a panel per data set and architecture, three bars per method."""
    readings, layers = (campaign_results.table(campaign, name, evaluations) for name in ("readings", "energy"))
    readings = campaign_results.at_all_timesteps(readings)
    matching = layers[layers.module == "matching"].groupby("evaluation_id").pJ_nonzero.sum() / PJ_PER_UJ
    seeds = [energy_of_seed(row, matching) for row in readings.itertuples()]
    lines = [summarise(rows, seeds) for _, rows in readings.groupby("evaluation", sort=False)]
    panels = campaign_results.grouped(lines, lambda line: (line["dataset"], line["architecture"]))
    counts = [len(panel) for panel in panels.values()]
    size = {"width": 8, "height": 0.5 + 0.8 * len(panels) + 0.62 * sum(counts)}
    figure, axes = canvas.panels(len(panels), 1, **size, gridspec_kw={"height_ratios": [count + 0.6 for count in counts]})
    for axis, (title, panel) in zip(axes[:, 0], panels.items()):
        paint(axis, ", ".join(title), panel)
    legend(figure)
    caption = (
        f"Mean over {campaign_results.seeds(line['n'] for line in lines)}; beside each bar its percentage and the energy itself."
    )
    return figure, {"caption": caption, "lines": lines, "seeds": seeds}


def energy_of_seed(row, matching: pd.Series) -> dict:
    """Read one seed's energy in uJ per image by convention, and that of the matching, which is the same in all."""
    numbers = {"evaluation": row.evaluation_id, "run": row.run, "matching": float(matching.get(row.evaluation_id, 0.0))}
    return numbers | {"uJ": {kind: float(getattr(row, f"energy_{kind}")) for kind in CONVENTIONS}}


def summarise(rows: pd.DataFrame, seeds: list[dict]) -> dict:
    """Average one evaluation's energies (uJ per image) over its seeds."""
    first, entries = rows.iloc[0], [seed for seed in seeds if seed["evaluation"] in set(rows.evaluation_id)]
    line = {"evaluation": first.evaluation, "title": first.title, "method": first.method, "dataset": first.dataset_title}
    line |= {"architecture": first.architecture, "n": len(entries)}
    line |= {"uJ": {kind: float(np.mean([seed["uJ"][kind] for seed in entries])) for kind in CONVENTIONS}}
    return line | {"matching": float(np.mean([seed["matching"] for seed in entries]))}


def paint(axis, title: str, lines: list[dict]) -> None:
    """Draw bars in percent of the panel's STATIC. Raises MissingData where the panel has none."""
    static = next((line for line in lines if line["method"] == "static"), None)
    if static is None:
        raise MissingData(f"{title} lacks STATIC, which all others are compared with: name its evaluation for this figure")
    for place, line in enumerate(lines):
        for k, kind in enumerate(CONVENTIONS):
            percent, y = static["uJ"][kind] / 100, place + (k - 1) * BAR_HEIGHT
            share = line["uJ"][kind] / percent
            axis.barh(y, share, BAR_HEIGHT, color=COLOURS[kind])
            axis.barh(y, line["matching"] / percent, BAR_HEIGHT, color="none", edgecolor="white", hatch="////", lw=0)
            text = f"{share:.0f} %  ({with_unit(line['uJ'][kind])})"
            axis.text(share + 1, y, text, va="center", fontsize=7, bbox={"fc": "white", "ec": "none", "pad": 0.5})
    largest = max(line["uJ"][kind] / static["uJ"][kind] for line in lines for kind in CONVENTIONS)
    axis.axvline(100, color=canvas.GREY, lw=0.8, zorder=0.5)
    axis.set(yticks=range(len(lines)), yticklabels=[line["title"] for line in lines], ylim=(len(lines) - 0.5, -0.5))
    axis.set(xlabel="energy per image (% of STATIC)", xlim=(0, 100 * largest + 22))
    axis.set_title(title, loc="left")
    axis.grid(False, axis="y")


def with_unit(value: float) -> str:
    """Write an energy in uJ with its unit, in mJ where it is large."""
    unit, scale = number_formats.energy_unit(value)
    return f"{number_formats.three_digits(value / scale)} {unit}"


def legend(figure) -> None:
    """Draw the legend above the panels: a colour per convention, and the hatch of the matching."""
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, label=kind) for kind, colour in COLOURS.items()]
    patches.append(Patch(facecolor=canvas.GREY, edgecolor="white", hatch="////", lw=0, label="of it matching"))
    figure.legend(handles=patches, loc="outside upper center", ncols=len(patches))
