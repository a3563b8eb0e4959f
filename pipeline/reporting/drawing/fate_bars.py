"""Draw bars of the shares of tokens that were computed, merged away or halted: the right side of several figures."""
# Tested in tests/pipeline/reporting/figures/test_figures.py

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.reporting.drawing import campaign_results, canvas

COLOURS = {"computed": canvas.COMPUTED, "merged": canvas.MERGED, "halted": canvas.HALTED}
NAMES = {"computed": "computed", "merged": "merged away", "halted": "halted"}
INK = {"computed": "black", "merged": "black", "halted": "white"}
LEAST_WITH_NUMBER = 0.08  # share from which its number fits into the bar


def shares(campaign: Campaign, evaluation: Evaluation) -> dict[str, float]:
    """Average the shares of an image's tokens that were merged away, halted and computed, over blocks, timesteps and images."""
    metrics = campaign_results.metrics_of(campaign, evaluation, "merged_by_block", "halted_by_block")
    merged, halted = (float(np.mean(metrics[f"{key}_by_block"])) for key in ("merged", "halted"))
    return {"merged": merged, "halted": halted, "computed": 1 - merged - halted}


def beside(rows: list[list[dict]], paint):
    """Draw two panels per row by paint(left, right, lines), bars on the right; a row's height follows its number of lines."""
    heights = [len(lines) for lines in rows]
    size = {"width": 9.4, "height": sum(0.9 + 0.46 * height for height in heights)}
    figure, axes = canvas.panels(len(rows), 2, **size, sharey="row", gridspec_kw={"height_ratios": heights})
    for (left, right), lines in zip(axes, rows):
        paint(left, right, lines)
    legend(axes[0, 1])
    return figure


def bar(axis, place: float, line: dict) -> None:
    """Draw a bar of all tokens, in percent, at a place of the y axis; parts too narrow for a number are named at its end."""
    start, narrow = 0.0, []
    for key, colour in COLOURS.items():
        style = {"color": colour, "edgecolor": "#555555", "linewidth": 0.6, "height": 0.7}
        axis.barh(place, 100 * line[key], left=start, label=NAMES[key] if place == 0 else None, **style)
        text = f"{100 * line[key]:.1f}" if line[key] >= 5e-4 else "< 0.1"
        if line[key] >= LEAST_WITH_NUMBER:
            at = start + 50 * line[key]
            axis.text(at, place, text, ha="center", va="center", fontsize=8, color=INK[key])
        elif line[key] > 1e-9:
            narrow.append(f"{text} {NAMES[key]}")
        start += 100 * line[key]
    axis.text(101.5, place, "\n".join(narrow), va="center", fontsize=8)


def scale(axis) -> None:
    """Set the axis below the bars: percent of tokens."""
    axis.set(xlabel="tokens (% of 64)", xlim=(0, 100.4))
    axis.grid(False)
    axis.tick_params(axis="y", length=0)


def legend(axis) -> None:
    """Draw the legend of the bars' parts above an axis with bars."""
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(COLOURS))


def with_spread(line: dict) -> str:
    """Write a line's accuracy (%), and its standard deviation where it has one."""
    spread = "" if line["accuracy_std"] is None else f" ± {line['accuracy_std']:.1f}"
    return f"{line['accuracy']:.1f}{spread}"
