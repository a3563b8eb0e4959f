"""Plot accuracy over the tokens computed (Fig. 1b): AT-SNN at several gammas beside STATIC at several timesteps."""
# Tested in tests/pipeline/reporting/figures/test_figures.py

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.reporting.drawing import campaign_results, canvas

if TYPE_CHECKING:
    import pandas as pd


TITLE = "Accuracy over the tokens computed (Fig. 1b)"
DEFINITION = (
    "Tokens: computed per block and timestep, summed over timesteps, in percent of all tokens at the most timesteps that a network of the panel "
    "was trained with. Static "
    "networks at T = 1, 2, ...; adaptive ones at all timesteps, and where they have an early exit also there, at the mean of the "
    "timesteps at which images stop. Hollow: the same weights with another γ, not retrained."
)
MOST_EVALUATIONS = None
LABEL_DISTANCE = 6  # percent of the tokens, within which the same label is written once


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a panel per data set; the numbers are its points."""
    readings = campaign_results.table(campaign, "readings", evaluations)
    points = summarise(readings)
    caption = f"Mean and standard deviation over {campaign_results.seeds(points.n)}."
    seeds = readings[["evaluation_id", "run", "exit", "timesteps", "avg_tokens", "accuracy"]]
    seeds = seeds.rename(columns={"evaluation_id": "evaluation"})
    numbers = {"caption": caption, "timesteps": campaign_results.timesteps(points), "exits": campaign_results.exits(points)}
    return paint(points), numbers | {"points": campaign_results.json_rows(points), "seeds": campaign_results.json_rows(seeds)}


def summarise(readings: pd.DataFrame) -> pd.DataFrame:
    """Average each reading over seeds.

    `tokens` is in percent of all tokens at the most timesteps that a network of the same data set was trained with.
    """
    most_timesteps = readings.groupby("dataset_title").trained_timesteps.transform("max")
    readings = readings.assign(tokens=100 * readings.avg_tokens * readings.timesteps / most_timesteps)
    adaptive = readings.groupby("evaluation").avg_tokens.transform("min") < 1
    last = readings.timesteps == readings.groupby("evaluation_id").timesteps.transform("max")
    selected = readings[~adaptive | last | (readings.exit != "")]  # STATIC at every T, adaptive tokens at all of them
    # An exit is one point, although its timesteps differ between seeds
    selected = selected.assign(reading=selected.exit.where(selected.exit != "", selected.timesteps.astype(str)))
    keys = ["dataset_title", "method", "title", "evaluation", "retrained_options", "exit", "reading"]
    grouped = selected.groupby(keys, sort=False)
    return grouped.agg(
        tokens=("tokens", "mean"),
        timesteps=("timesteps", "mean"),
        accuracy=("accuracy", "mean"),
        spread=("accuracy", "std"),
        n=("seed", "count"),
    ).reset_index()


def paint(points: pd.DataFrame):
    """Draw a panel per data set, accuracy (%) over tokens (%)."""
    titles = list(dict.fromkeys(points.dataset_title))
    figure, axes = canvas.panels(1, len(titles), width=max(6.4, 4.6 * len(titles)), height=4.6)
    for axis, title in zip(axes[0], titles):
        groups, labels_written = points[points.dataset_title == title].groupby("method", sort=False), []
        handles = [
            handle
            for place, (_, method_points) in enumerate(groups)
            for handle in draw_method(axis, method_points, labels_written, name_timesteps=place == 0)
        ]
        axis.margins(x=0.08, y=0.2)
        axis.set(title=title, xlabel="tokens computed (%)", ylabel="accuracy (%)")
        axis.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncol=3)
    return figure


def draw_method(axis, points: pd.DataFrame, labels_written: list[tuple[float, str]], name_timesteps: bool) -> list:
    """Draw one method, hollow where it was not retrained; return the legend's handles.

    A line joins a static network's timesteps.
    labels_written: (tokens in percent, options) of points with their options beside them; points that are close need them once.
    name_timesteps: write T beside each point.
    """
    import pandas as pd

    several_titles, look, handles = points.title.nunique() > 1, canvas.look(points.method.iloc[0]), []
    title = points.title.iloc[0].split(" (")[0] if several_titles else points.title.iloc[0]
    for retrained, rows in points.groupby("retrained_options", sort=False):
        style = look | {"mfc": look["color"] if retrained else "white", "capsize": 2, "lw": 1, "ms": 6}
        style |= {"ls": "-" if len(rows) > 1 and rows.evaluation.nunique() == 1 else ""}
        label = canvas.raised(title if retrained else f"{title}, same weights")
        handles.append(axis.errorbar(rows.tokens, rows.accuracy, rows.spread.fillna(0), label=label, **style))
    style = {"fontsize": 7, "color": look["color"], "textcoords": "offset points"}
    for point in points.itertuples():
        at = (point.tokens, point.accuracy)
        if several_titles:
            options_label = point.title[point.title.find("(") + 1 : -1]
            if not any(options_label == text and abs(point.tokens - x) < LABEL_DISTANCE for x, text in labels_written):
                label_place = (point.tokens, point.accuracy + (0 if pd.isna(point.spread) else point.spread))
                axis.annotate(options_label, label_place, xytext=(0, 6), va="bottom", ha="center", rotation=90, **style)
                labels_written.append((point.tokens, options_label))
        elif name_timesteps:  # below the point, as the curve rises
            axis.annotate(f"T = {point.timesteps:.3g}", at, xytext=(6, -4), ha="left", va="top", **style)
    return handles
