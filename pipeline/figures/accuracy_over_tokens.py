"""Accuracy over the tokens computed (Fig. 1b): AT-SNN at several gammas beside STATIC at several timesteps."""

from pathlib import Path

import pandas as pd

from pipeline.campaign import Campaign
from pipeline.errors import UserError
from pipeline.figures import COLOURS
from pipeline.identity import Evaluation

TITLE = "Accuracy over the tokens computed (Fig. 1b)"
MOST_EVALUATIONS = None
MARKERS = "osD^vPX"


def draw(campaign: Campaign, evaluations: list[Evaluation], path: Path) -> dict:
    """A panel per data set, from the readings of Table 1; the numbers are those points."""
    source = campaign.folder / "tables" / "readings.csv"
    if not source.exists():
        raise UserError(f"{source} is missing: run snakemake, which makes it, or python -m pipeline.aggregate first")
    readings = pd.read_csv(source, keep_default_na=False)
    points = summarise(readings[readings.evaluation_id.isin([evaluation.id for evaluation in evaluations])])
    paint(campaign, points, path)
    return {"title": TITLE, "caption": caption(campaign, points), "points": points.to_dict("records")}


def summarise(readings: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds of each reading; `tokens` is in percent of all tokens at all the timesteps the network was trained with."""
    readings = readings.assign(tokens=100 * readings.avg_tokens * readings.timesteps / readings.trained_timesteps)
    adaptive = readings.groupby("evaluation").avg_tokens.transform("min") < 1
    last = readings.timesteps == readings.groupby("evaluation_id").timesteps.transform("max")
    shown = readings[~adaptive | last | (readings.exit != "")]  # STATIC at every T, adaptive tokens at all of them
    # An exit's timesteps differ between seeds: it is one point all the same
    shown = shown.assign(reading=shown.exit.where(shown.exit != "", shown.timesteps.astype(str)))
    keys = ["dataset_title", "method", "title", "evaluation", "retrained_options", "reading"]
    grouped = shown.groupby(keys, sort=False)
    return grouped.agg(
        tokens=("tokens", "mean"),
        timesteps=("timesteps", "mean"),
        accuracy=("accuracy", "mean"),
        spread=("accuracy", "std"),
        n=("seed", "count"),
    ).reset_index()


def caption(campaign: Campaign, points: pd.DataFrame) -> str:
    hollow = "; hollow: the same weights with another γ, not retrained" if not points.retrained_options.all() else ""
    return (
        "Tokens: computed per block and timestep, summed over timesteps, in percent of all tokens at all timesteps trained. "
        f"Static networks at T = 1, 2, ... ; mean and standard deviation over n = {points.n.max()} seeds{hollow}. "
        f"Scale {campaign.experiment.scale}"
    )


def paint(campaign: Campaign, points: pd.DataFrame, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(points.dataset_title))
    methods = list(dict.fromkeys(points.method))
    figure, axes = plt.subplots(1, len(names), figsize=(max(6.4, 4.6 * len(names)), 4), layout="constrained", squeeze=False)
    for axis, name in zip(axes[0], names):
        for method, own in points[points.dataset_title == name].groupby("method", sort=False):
            place = methods.index(method)
            series(
                axis,
                own,
                COLOURS[place % len(COLOURS)],
                MARKERS[place % len(MARKERS)],
                below=place % 2 == 1,
                timesteps=place == 0,
            )
        axis.set(title=name, xlabel="tokens computed (%)", ylabel="accuracy (%)")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="lower right")
    figure.suptitle(f"scale {campaign.experiment.scale}", fontsize=8, x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)


def series(axis, own: pd.DataFrame, colour: str, marker: str, below: bool, timesteps: bool) -> None:
    """One method: a line through a static network's timesteps, named if asked; what was not retrained is hollow."""
    title = own.title.iloc[0].split(" (")[0]
    for retrained, part in own.groupby("retrained_options", sort=False):
        line = "-" if len(part) > 1 and part.evaluation.nunique() == 1 else ""
        face = colour if retrained else "white"
        errors = part.spread.fillna(0)
        label = title if retrained else f"{title}, same weights"
        axis.errorbar(
            part.tokens, part.accuracy, errors, fmt=marker + line, color=colour, mfc=face, capsize=2, lw=1, ms=6, label=label
        )
    for point in own.itertuples():
        if "(" not in point.title and not timesteps:
            continue
        inside = point.title[point.title.find("(") + 1 : -1] if "(" in point.title else f"T = {point.timesteps:.3g}"
        axis.annotate(
            inside,
            (point.tokens, point.accuracy),
            textcoords="offset points",
            xytext=(6, -11 if below else 5),
            fontsize=7,
            color=colour,
        )
