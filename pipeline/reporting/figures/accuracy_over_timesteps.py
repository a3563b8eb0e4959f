"""Plot accuracy after each timestep (Fig. 1a), as measured here and, apart from it, as the paper prints and quotes it."""
# Tested in tests/pipeline/reporting/figures/test_figures.py

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.reporting.drawing import campaign_results, canvas
from pipeline.reporting.tables.table1 import paper_rows, paper_title

if TYPE_CHECKING:
    import pandas as pd


TITLE = "Accuracy over timesteps (Fig. 1a)"
DEFINITION = (
    "Accuracy of the mean of the logits of timesteps 1 to T, on one set of weights for all T; black-rimmed markers are early "
    "exits, at the mean of the timesteps at which images stop. Hollow: not measured here, but printed in the paper's Table 1; in a "
    "method's colour what its authors trained or re-ran, grey what they quote of CNNs. Reading: the paper does not say which "
    "of its numbers Fig. 1a shows; all of Table 1's for the data set are here."
)
MOST_EVALUATIONS = None
LINE_STYLES = ("-", "--", ":", "-.")  # for the networks of one method, one after another
QUOTED_TICKS = (10, 30, 100)  # timesteps beyond those measured
NAME_HEIGHT = 8.0  # points that a line of a name takes
# Columns whose values tell points apart
KEYS = ["dataset", "dataset_title", "method", "title", "architecture", "trained_timesteps", "retrained_options", "evaluation"]
KEYS += ["exit", "place"]


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a panel per data set; the numbers are its points."""
    readings = campaign_results.table(campaign, "readings", evaluations)
    points, printed = summarise(readings), paper_points(campaign, readings)
    seeds = readings[["evaluation_id", "run", "exit", "timesteps", "accuracy"]].rename(columns={"evaluation_id": "evaluation"})
    numbers = {
        "points": campaign_results.json_rows(points),
        "paper": campaign_results.json_rows(printed),
        "seeds": campaign_results.json_rows(seeds),
    }
    numbers |= {"timesteps": campaign_results.timesteps(readings), "exits": campaign_results.exits(readings)}
    return paint(points, printed), {"caption": caption(points, printed)} | numbers


def caption(points: pd.DataFrame, paper: pd.DataFrame) -> str:
    """Write the caption: how many seeds, and for which data sets the paper prints no numbers."""
    text = f"Mean and standard deviation over {campaign_results.seeds(points.n)}. "
    unprinted = [title for name, title in dataset_titles(points).items() if name not in set(paper.dataset)]
    if unprinted:
        return text + f"The paper has no numbers for {', '.join(unprinted)}: everything here is measured."
    return (
        text + "Hollow markers are the paper's numbers, none of them measured here; baselines/reported.csv says whom it quotes."
    )


def dataset_titles(points: pd.DataFrame) -> dict[str, str]:
    """Map the name of each data set to its title, in the order of first mention."""
    return dict(zip(points.dataset, points.dataset_title))


def summarise(readings: pd.DataFrame) -> pd.DataFrame:
    """Summarise each reading over seeds by mean and standard deviation; an exit, whose timesteps differ between seeds, is one."""
    place = readings.exit.where(readings.exit != "", readings.timesteps.astype(str))
    return (
        readings.assign(place=place)
        .groupby(KEYS, sort=False)
        .agg(
            timesteps=("timesteps", "mean"),
            timesteps_std=("timesteps", "std"),
            accuracy=("accuracy", "mean"),
            accuracy_std=("accuracy", "std"),
            n=("seed", "count"),
        )
        .reset_index()
        .drop(columns="place")
    )


def paper_points(campaign: Campaign, readings: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of the paper's Table 1 for the data sets shown."""
    rows = paper_rows()
    rows = rows[rows.dataset.isin(set(readings.dataset))]
    rows = rows.assign(title=[paper_title(campaign.catalogue, row) for row in rows.itertuples()])
    return rows[["dataset", "method", "title", "timesteps", "accuracy", "origin", "source"]]


def paint(points: pd.DataFrame, paper: pd.DataFrame):
    """Draw a panel per data set, with a legend of what was measured and one of what the paper prints."""
    titles = dataset_titles(points)
    figure, axes = canvas.panels(1, len(titles), width=max(6.4, 4.8 * len(titles)), height=5.2)
    for axis, (dataset, title) in zip(axes[0], titles.items()):
        measured, printed = points[points.dataset == dataset], paper[paper.dataset == dataset]
        handles = draw_measured(axis, measured)
        if len(printed):
            measured_legend = legend(axis, handles, "upper left", "measured here")
            legend(axis, draw_paper(axis, printed), "upper right", "printed in the paper")
            axis.add_artist(measured_legend).set_clip_on(False)  # the second legend has replaced it
        else:
            legend(axis, handles, "upper center", None)
        axis.set(title=title, xlabel="timesteps", ylabel="accuracy (%)")
        scale_timesteps(axis, measured.timesteps.max(), max([0, *printed.timesteps]))
    return figure


def legend(axis, handles: list, corner: str, title: str | None):
    """Place a legend below the axis, where it hides nothing."""
    anchor, columns = {"upper left": (0, 1), "upper center": (0.5, 2), "upper right": (1, 1)}[corner]
    return axis.legend(handles=handles, loc=corner, bbox_to_anchor=(anchor, -0.14), ncol=columns, title=title, handlelength=3.2)


def scale_timesteps(axis, last: float, last_printed: float) -> None:
    """Scale the axis evenly up to the last timestep measured, logarithmically beyond it up to the last printed (T = 125)."""
    from matplotlib.ticker import NullLocator

    ticks = list(range(1, int(last) + 1))
    if last_printed > last:
        ticks += [tick for tick in QUOTED_TICKS if tick > last]
        scale = (
            (lambda t: np.where(t > last, last + 0.5 * np.log2(np.maximum(t, last) / last), t)),
            (lambda x: np.where(x > last, last * 4 ** (np.maximum(x, last) - last), x)),
        )
        axis.set_xscale("function", functions=scale)
        axis.set(xlim=(0.85, 1.3 * last_printed), xlabel=f"timesteps (logarithmic beyond {last:.0f})")
        axis.axvline(last, color=canvas.GREY, lw=0.8, ls=":", zorder=1)
    axis.set_xticks(ticks, ticks)
    axis.xaxis.set_minor_locator(NullLocator())


def draw_measured(axis, points: pd.DataFrame) -> list:
    """Draw a line per network through its timesteps and a large marker per exit; return the legend's handles."""
    handles, counts = [], {}  # counts: of each method, and of its exit, the number of the last network drawn
    for (_, exit_name), rows in points.groupby(["evaluation", "exit"], sort=False):
        first, look = rows.iloc[0], canvas.look(rows.method.iloc[0])
        number = counts[first.method, exit_name] = counts.get((first.method, exit_name), -1) + 1
        look["color"] = canvas.darker(look["color"], number)
        options = {"ls": "", "ms": 9, "mec": "black", "mew": 0.8, "zorder": 4, "xerr": rows.timesteps_std.fillna(0)}
        if not exit_name:
            options = {
                "ls": LINE_STYLES[number % len(LINE_STYLES)],
                "mfc": look["color"] if first.retrained_options else "white",
                "zorder": 3,
            }
        yerr = rows.accuracy_std.fillna(0)
        label = canvas.raised(name_of(rows, several_architectures=points.architecture.nunique() > 1))
        handles.append(axis.errorbar(rows.timesteps, rows.accuracy, yerr, capsize=2, lw=1.2, label=label, **look | options))
    return handles


def name_of(rows: pd.DataFrame, several_architectures: bool) -> str:
    """Name a network in the legend, with what sets it apart."""
    first = rows.iloc[0]
    other_timesteps = not first.exit and first.trained_timesteps != rows.timesteps.max()
    parts = {
        first.title: True,
        first.architecture: several_architectures,
        "same weights": not first.retrained_options,
        f"trained at T = {first.trained_timesteps}": other_timesteps,
        "exit": bool(first.exit),
    }
    return ", ".join(part for part, wanted in parts.items() if wanted)


def draw_paper(axis, rows: pd.DataFrame) -> list:
    """Draw the paper's numbers hollow, those it quotes as grey squares with their names; return the legend's handles."""
    hollow = {"ls": "", "ms": 9, "mfc": "none", "mew": 1.2, "zorder": 5}
    handles, quoted = [], rows[rows.origin == "quoted"]
    for method, method_rows in rows[rows.origin != "quoted"].groupby("method", sort=False):
        label = canvas.raised(method_rows.title.iloc[0].split(" (")[0])
        handles += axis.plot(method_rows.timesteps, method_rows.accuracy, label=label, **canvas.look(method) | hollow)
    if len(quoted):
        look = hollow | {"marker": "s", "color": canvas.GREY, "ms": 6}
        handles += axis.plot(quoted.timesteps, quoted.accuracy, label="CNNs, quoted from others", **look)
    at_edge = quoted.timesteps > QUOTED_TICKS[-1]
    for row in quoted[at_edge].itertuples():
        annotate(axis, row, ha="right", va="top", xytext=(6, -6))
    for row, offset in zip(quoted[~at_edge].itertuples(), name_offsets(axis, quoted[~at_edge].accuracy)):
        connector = (
            {"arrowstyle": "-", "color": "#aaaaaa", "lw": 0.6, "shrinkA": 0, "shrinkB": 3} if offset > NAME_HEIGHT / 2 else None
        )
        annotate(axis, row, ha="left", va="center", xytext=(12, -offset), arrowprops=connector)
    return handles


def annotate(axis, row, **style) -> None:
    """Write a row's title beside its point."""
    at = (row.timesteps, row.accuracy)
    from matplotlib import patheffects

    halo = [patheffects.withStroke(linewidth=2, foreground="white")]  # so that it stays legible over other points
    look = {"fontsize": 7, "color": "#555555", "zorder": 6, "path_effects": halo}
    axis.annotate(row.title, at, textcoords="offset points", **look, **style)


def name_offsets(axis, accuracies: pd.Series) -> list[float]:
    """Compute how far below its point each name stands, in points, so that no name overlaps another."""
    bottom, top = axis.get_ylim()
    per_percent = 72 * axis.get_position().height * axis.figure.get_figheight() / (top - bottom)
    heights, free_below = per_percent * accuracies, math.inf
    offsets = {}
    for place, height in heights.sort_values(ascending=False).items():
        offsets[place] = max(0.0, height - free_below)
        free_below = height - offsets[place] - NAME_HEIGHT
    return [offsets[place] for place in accuracies.index]
