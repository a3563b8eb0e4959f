"""Accuracy after each timestep (Fig. 1a): what was measured, and apart from it the numbers that the paper prints and quotes."""

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
LINES = ("-", "--", ":", "-.")  # of one method's several networks
TICKS = (10, 30, 100)
LINE = 8.0  # points that a name takes
KEYS = ["dataset", "dataset_title", "method", "title", "architecture", "trained_timesteps", "retrained_options", "evaluation"]
KEYS += ["exit", "place"]


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A panel per data set; the numbers are its points."""
    readings = campaign_results.table(campaign, "readings", evaluations)
    points, paper = summarise(readings), papers_points(campaign, readings)
    seeds = readings[["evaluation_id", "run", "exit", "timesteps", "accuracy"]].rename(columns={"evaluation_id": "evaluation"})
    numbers = {
        "points": campaign_results.plain(points),
        "paper": campaign_results.plain(paper),
        "seeds": campaign_results.plain(seeds),
    }
    numbers |= {"timesteps": campaign_results.timesteps(readings), "exits": campaign_results.exits(readings)}
    return paint(points, paper), {"caption": caption(points, paper)} | numbers


def caption(points: pd.DataFrame, paper: pd.DataFrame) -> str:
    text = f"Mean and standard deviation over {campaign_results.seeds(points.n)}. "
    without = [title for name, title in names(points).items() if name not in set(paper.dataset)]
    if without:
        return text + f"The paper has no numbers for {', '.join(without)}: everything here is measured."
    return (
        text + "Hollow markers are the paper's numbers, none of them measured here; baselines/reported.csv says whom it quotes."
    )


def names(points: pd.DataFrame) -> dict[str, str]:
    """Title of each data set, in the order of first mention."""
    return dict(zip(points.dataset, points.dataset_title))


def summarise(readings: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over seeds of each reading; an exit, whose timesteps differ between seeds, is one."""
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


def papers_points(campaign: Campaign, readings: pd.DataFrame) -> pd.DataFrame:
    """The paper's table for the data sets shown."""
    rows = paper_rows()
    rows = rows[rows.dataset.isin(set(readings.dataset))]
    rows = rows.assign(title=[paper_title(campaign.catalogue, row) for row in rows.itertuples()])
    return rows[["dataset", "method", "title", "timesteps", "accuracy", "origin", "source"]]


def paint(points: pd.DataFrame, paper: pd.DataFrame):
    titles = names(points)
    figure, axes = canvas.panels(1, len(titles), width=max(6.4, 4.8 * len(titles)), height=5.2)
    for axis, (name, title) in zip(axes[0], titles.items()):
        ours, theirs = points[points.dataset == name], paper[paper.dataset == name]
        handles = measured(axis, ours)
        if len(theirs):
            first = legend(axis, handles, "upper left", "measured here")
            legend(axis, papers(axis, theirs), "upper right", "printed in the paper")
            axis.add_artist(first).set_clip_on(False)  # the second has replaced it
        else:
            legend(axis, handles, "upper center", None)
        axis.set(title=title, xlabel="timesteps", ylabel="accuracy (%)")
        stretch(axis, ours.timesteps.max(), max([0, *theirs.timesteps]))
    return figure


def legend(axis, handles: list, place: str, title: str | None):
    """Below the axis, where it hides nothing."""
    at, columns = {"upper left": (0, 1), "upper center": (0.5, 2), "upper right": (1, 1)}[place]
    return axis.legend(handles=handles, loc=place, bbox_to_anchor=(at, -0.14), ncol=columns, title=title, handlelength=3.2)


def stretch(axis, ours: float, theirs: float) -> None:
    """Timesteps up to those measured evenly; what is quoted goes on to 125, on a logarithmic scale."""
    from matplotlib.ticker import NullLocator

    ticks = list(range(1, int(ours) + 1))
    if theirs > ours:
        ticks += [tick for tick in TICKS if tick > ours]
        scale = (
            (lambda t: np.where(t > ours, ours + 0.5 * np.log2(np.maximum(t, ours) / ours), t)),
            (lambda x: np.where(x > ours, ours * 4 ** (np.maximum(x, ours) - ours), x)),
        )
        axis.set_xscale("function", functions=scale)
        axis.set(xlim=(0.85, 1.3 * theirs), xlabel=f"timesteps (logarithmic beyond {ours:.0f})")
        axis.axvline(ours, color=canvas.GREY, lw=0.8, ls=":", zorder=1)
    axis.set_xticks(ticks, ticks)
    axis.xaxis.set_minor_locator(NullLocator())


def measured(axis, points: pd.DataFrame) -> list:
    """A line per network through its timesteps, a large marker per exit."""
    handles, drawn = [], {}  # how many networks of a method, or of its exit, are drawn already
    for (_, leaves), own in points.groupby(["evaluation", "exit"], sort=False):
        first, look = own.iloc[0], canvas.look(own.method.iloc[0])
        place = drawn[first.method, leaves] = drawn.get((first.method, leaves), -1) + 1
        look["color"] = canvas.darker(look["color"], place)
        options = {"ls": "", "ms": 9, "mec": "black", "mew": 0.8, "zorder": 4, "xerr": own.timesteps_std.fillna(0)}
        if not leaves:
            options = {"ls": LINES[place % len(LINES)], "mfc": look["color"] if first.retrained_options else "white", "zorder": 3}
        yerr = own.accuracy_std.fillna(0)
        label = canvas.raised(name_of(own, several=points.architecture.nunique() > 1))
        handles.append(axis.errorbar(own.timesteps, own.accuracy, yerr, capsize=2, lw=1.2, label=label, **look | options))
    return handles


def name_of(own: pd.DataFrame, several: bool) -> str:
    """A network's name in the legend, with what sets it apart."""
    first = own.iloc[0]
    elsewhere = not first.exit and first.trained_timesteps != own.timesteps.max()
    parts = {
        first.title: True,
        first.architecture: several,
        "same weights": not first.retrained_options,
        f"trained at T = {first.trained_timesteps}": elsewhere,
        "exit": bool(first.exit),
    }
    return ", ".join(part for part, wanted in parts.items() if wanted)


def papers(axis, rows: pd.DataFrame) -> list:
    """What the paper prints: hollow, a grey square with its name for what it quotes."""
    hollow = {"ls": "", "ms": 9, "mfc": "none", "mew": 1.2, "zorder": 5}
    handles, quoted = [], rows[rows.origin == "quoted"]
    for method, own in rows[rows.origin != "quoted"].groupby("method", sort=False):
        label = canvas.raised(own.title.iloc[0].split(" (")[0])
        handles += axis.plot(own.timesteps, own.accuracy, label=label, **canvas.look(method) | hollow)
    if len(quoted):
        look = hollow | {"marker": "s", "color": canvas.GREY, "ms": 6}
        handles += axis.plot(quoted.timesteps, quoted.accuracy, label="CNNs, quoted from others", **look)
    edge = quoted.timesteps > TICKS[-1]
    for row in quoted[edge].itertuples():
        name(axis, row, ha="right", va="top", xytext=(6, -6))
    for row, lower in zip(quoted[~edge].itertuples(), lowered(axis, quoted[~edge].accuracy)):
        line = {"arrowstyle": "-", "color": "#aaaaaa", "lw": 0.6, "shrinkA": 0, "shrinkB": 3} if lower > LINE / 2 else None
        name(axis, row, ha="left", va="center", xytext=(12, -lower), arrowprops=line)
    return handles


def name(axis, row, **style) -> None:
    at = (row.timesteps, row.accuracy)
    from matplotlib import patheffects

    halo = [patheffects.withStroke(linewidth=2, foreground="white")]  # over the points of others
    look = {"fontsize": 7, "color": "#555555", "zorder": 6, "path_effects": halo}
    axis.annotate(row.title, at, textcoords="offset points", **look, **style)


def lowered(axis, accuracies: pd.Series) -> list[float]:
    """How far below its point each name stands, in points, so that no name is on another."""
    least, most = axis.get_ylim()
    per_percent = 72 * axis.get_position().height * axis.figure.get_figheight() / (most - least)
    heights, free = per_percent * accuracies, math.inf
    found = {}
    for place, height in heights.sort_values(ascending=False).items():
        found[place] = max(0.0, height - free)
        free = height - found[place] - LINE
    return [found[place] for place in accuracies.index]
