"""Accuracy over the tokens computed (Fig. 1b): AT-SNN at several gammas beside STATIC at several timesteps."""

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
CLOSE = 6  # percent of the tokens


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A panel per data set; the numbers are its points."""
    readings = campaign_results.table(campaign, "readings", evaluations)
    points = summarise(readings)
    caption = f"Mean and standard deviation over {campaign_results.seeds(points.n)}."
    seeds = readings[["evaluation_id", "run", "exit", "timesteps", "avg_tokens", "accuracy"]]
    seeds = seeds.rename(columns={"evaluation_id": "evaluation"})
    numbers = {"caption": caption, "timesteps": campaign_results.timesteps(points), "exits": campaign_results.exits(points)}
    return paint(points), numbers | {"points": campaign_results.plain(points), "seeds": campaign_results.plain(seeds)}


def summarise(readings: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds of each reading; `tokens` is in percent of all tokens at the most timesteps that one of its data set was trained with."""
    most = readings.groupby("dataset_title").trained_timesteps.transform("max")
    readings = readings.assign(tokens=100 * readings.avg_tokens * readings.timesteps / most)
    adaptive = readings.groupby("evaluation").avg_tokens.transform("min") < 1
    last = readings.timesteps == readings.groupby("evaluation_id").timesteps.transform("max")
    drawn = readings[~adaptive | last | (readings.exit != "")]  # STATIC at every T, adaptive tokens at all of them
    # An exit's timesteps differ between seeds: it is one point all the same
    drawn = drawn.assign(reading=drawn.exit.where(drawn.exit != "", drawn.timesteps.astype(str)))
    keys = ["dataset_title", "method", "title", "evaluation", "retrained_options", "exit", "reading"]
    grouped = drawn.groupby(keys, sort=False)
    return grouped.agg(
        tokens=("tokens", "mean"),
        timesteps=("timesteps", "mean"),
        accuracy=("accuracy", "mean"),
        spread=("accuracy", "std"),
        n=("seed", "count"),
    ).reset_index()


def paint(points: pd.DataFrame):
    names = list(dict.fromkeys(points.dataset_title))
    figure, axes = canvas.panels(1, len(names), width=max(6.4, 4.6 * len(names)), height=4.6)
    for axis, name in zip(axes[0], names):
        groups, named = points[points.dataset_title == name].groupby("method", sort=False), []
        handles = [handle for place, (_, own) in enumerate(groups) for handle in series(axis, own, named, timesteps=place == 0)]
        axis.margins(x=0.08, y=0.2)
        axis.set(title=name, xlabel="tokens computed (%)", ylabel="accuracy (%)")
        axis.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncol=3)
    return figure


def series(axis, own: pd.DataFrame, named: list[tuple[float, str]], timesteps: bool) -> list:
    """One method: a line through a static network's timesteps, named if asked; what was not retrained is hollow.

    named: the points that have their options beside them, with those; two close to each other need them once.
    """
    import pandas as pd

    several, look, handles = own.title.nunique() > 1, canvas.look(own.method.iloc[0]), []
    title = own.title.iloc[0].split(" (")[0] if several else own.title.iloc[0]
    for retrained, part in own.groupby("retrained_options", sort=False):
        style = look | {"mfc": look["color"] if retrained else "white", "capsize": 2, "lw": 1, "ms": 6}
        style |= {"ls": "-" if len(part) > 1 and part.evaluation.nunique() == 1 else ""}
        label = canvas.raised(title if retrained else f"{title}, same weights")
        handles.append(axis.errorbar(part.tokens, part.accuracy, part.spread.fillna(0), label=label, **style))
    style = {"fontsize": 7, "color": look["color"], "textcoords": "offset points"}
    for point in own.itertuples():
        at = (point.tokens, point.accuracy)
        if several:
            inside = point.title[point.title.find("(") + 1 : -1]
            if not any(inside == text and abs(point.tokens - x) < CLOSE for x, text in named):
                above = (point.tokens, point.accuracy + (0 if pd.isna(point.spread) else point.spread))
                axis.annotate(inside, above, xytext=(0, 6), va="bottom", ha="center", rotation=90, **style)
                named.append((point.tokens, inside))
        elif timesteps:  # below a curve that rises
            axis.annotate(f"T = {point.timesteps:.3g}", at, xytext=(6, -4), ha="left", va="top", **style)
    return handles
