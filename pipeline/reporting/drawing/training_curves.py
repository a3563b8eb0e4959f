"""Draw all trainings for the report: loss, held-out accuracy and tokens over epochs."""

import pandas as pd

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run
from pipeline.campaign.titles import data_title, method_title
from pipeline.reporting.drawing import campaign_results, canvas

COLUMNS = {
    "train_loss": "training loss",
    "heldout_accuracy": "held-out accuracy (%)",
    "average_tokens": "tokens computed (share)",
}
STROKES = ("-", "--", ":", "-.")  # line styles of one method's runs with different options, in their order
MOST_MARKED = 12  # epochs; with more, points have no markers


def draw(campaign: Campaign, curves: pd.DataFrame) -> bytes:
    """Draw a row per data set and network, a line per seed, a colour per method: an SVG, the same bytes for the same curves."""
    rows = campaign_results.grouped(
        campaign.runs, lambda run: f"{data_title(campaign.catalogue, run.data.name)}, {run.architecture}"
    )
    figure, axes = canvas.panels(len(rows), len(COLUMNS), width=11.5, height=2.7 * len(rows))
    for row, (title, runs) in zip(axes, rows.items()):
        labels = list(dict.fromkeys(run.label for run in runs))
        for label in labels:
            runs_of_label = [run for run in runs if run.label == label]
            draw_run(campaign, row, runs_of_label, stroke(labels, label, runs), curves)
        row[0].set_title(title, loc="left", fontweight="bold")
        row[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    svg = canvas.svg(figure)
    canvas.pyplot().close(figure)
    return svg


def stroke(labels: list[str], label: str, runs: list[Run]) -> str:
    """Choose the kind of line of a run, by its place among its method's runs."""
    methods = {run.label: run.method for run in runs}
    same_method = [other for other in labels if methods[other] == methods[label]]
    return STROKES[same_method.index(label) % len(STROKES)]


def draw_run(campaign: Campaign, row, runs: list[Run], kind: str, curves: pd.DataFrame) -> None:
    """Draw one declared run into a row of panels: a thin line per seed, all in one style, the first named in the legend."""
    first = runs[0]
    title = method_title(campaign.catalogue, first.method, first.options)
    for axis, (key, name) in zip(row, COLUMNS.items()):
        for run in runs:
            points = curves[curves.run == run.id].dropna(subset=key)
            look = canvas.look(run.method) | ({} if len(points) <= MOST_MARKED else {"marker": ""})
            label = title if run is first else None
            axis.plot(begin(run, curves) + points.epoch, points[key], ls=kind, lw=1.4, ms=3.5, alpha=0.8, label=label, **look)
        axis.set(xlabel="epoch, its parent's included", ylabel=name)
        axis.xaxis.get_major_locator().set_params(integer=True)
    row[-1].set_ylim(0, 1.05)


def begin(run: Run, curves: pd.DataFrame) -> int:
    """Count the epochs that a run's weights had been trained for when it began: those of its parents."""
    return 0 if run.parent is None else begin(run.parent, curves) + int(curves[curves.run == run.parent.id].epoch.max())
