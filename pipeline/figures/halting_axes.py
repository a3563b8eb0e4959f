"""Two- against one-dimensional halting (Fig. 9): sums of scores over blocks and timesteps, or over blocks alone."""

import pandas as pd

from pipeline import canvas, shown
from pipeline.campaign import Campaign
from pipeline.figures import MissingData
from pipeline.identity import Evaluation

TITLE = "Two- and one-dimensional halting (Fig. 9)"
DEFINITION = (
    "Halting scores summed over blocks and timesteps (2D, Eq. 4) or over the blocks of each timestep alone (1D), all else equal. "
    "Left: accuracy over average tokens, STATIC beside them where it is shown. Right: where the tokens went, mean over blocks and "
    "timesteps. Differences are taken seed by seed."
)
MOST_EVALUATIONS = None
LOOKS = {"2d": ("2D", canvas.BLUE, "D"), "1d": ("1D", canvas.ORANGE, "s")}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A row of panels per data set; `seeds` has what 2D has more than 1D."""
    adaptive = [e for e in evaluations if "axes" in e.options]
    if {e.options["axes"] for e in adaptive} != set(LOOKS):
        raise MissingData("two- and one-dimensional halting are compared: name an evaluation of each")
    readings = last(shown.table(campaign, "readings", evaluations))
    groups = shown.by_data(evaluations)
    figure, axes = canvas.panels(len(groups), 2, width=8.4, gridspec_kw={"width_ratios": (3, 2)})
    points, seeds = [], []
    for (left, right), own in zip(axes, groups.values()):
        for name in dict.fromkeys(e.name for e in own):
            same = [e for e in own if e.name == name]
            points.append(point(left, readings[readings.evaluation == name], same[0]))
        left.set(xlabel="average tokens (share of 64)", ylabel="accuracy (%)", title=points[-1]["dataset"])
        left.legend()
        bars(campaign, right, [e for e in own if "axes" in e.options])
        seeds += differences(readings, own)
    halted = max(shown.metrics_of(campaign, e, "halted_by_block")["halted_by_block"][-1] for e in adaptive)
    caption = f"Mean and standard deviation over n = {max(point['n'] for point in points)} seeds."
    caption += "" if halted else " Nothing halts before the last block: the two are the same here."
    return figure, {"caption": caption, "points": points, "seeds": seeds}


def last(readings: pd.DataFrame) -> pd.DataFrame:
    """Each evaluation at the timesteps that its network was trained with, no exits."""
    return readings[(readings.exit == "") & (readings.timesteps == readings.trained_timesteps)]


def point(axis, own: pd.DataFrame, evaluation: Evaluation) -> dict:
    """One evaluation over its seeds."""
    kind = evaluation.options.get("axes")
    label, colour, marker = LOOKS[kind] if kind else (own.title.iloc[0], *canvas.look(own.method.iloc[0]).values())
    spread = own[["avg_tokens", "accuracy"]].std().fillna(0)
    face = colour if own.retrained_options.all() else "white"
    axis.errorbar(own.avg_tokens.mean(), own.accuracy.mean(), spread.accuracy, spread.avg_tokens, color=colour, marker=marker, mfc=face, ls="", capsize=2, ms=7, label=label)  # fmt: skip
    told = {"evaluation": evaluation.name, "axes": kind, "dataset": own.dataset_title.iloc[0], "n": len(own)}
    told |= {"accuracy": own.accuracy.mean(), "accuracy_std": own.accuracy.std() if len(own) > 1 else None}
    return told | {"tokens": own.avg_tokens.mean()}


def bars(campaign: Campaign, axis, adaptive: list[Evaluation]) -> None:
    """Tokens computed, merged away and halted, of each kind."""
    for place, kind in enumerate(LOOKS):
        told = pd.DataFrame(
            {
                key: pd.Series(shown.metrics_of(campaign, e, f"{key}_by_block")[f"{key}_by_block"]).mean()
                for key in ("merged", "halted")
            }
            for e in adaptive
            if e.options["axes"] == kind
        ).mean()
        parts = (
            ("computed", 1 - told.sum(), "#D9D9D9"),
            ("merged", told.merged, canvas.MERGED),
            ("halted", told.halted, canvas.HALTED),
        )
        start = 0.0
        for name, value, colour in parts:
            axis.barh(place, value, left=start, color=colour, label=name if place == 0 else None)
            if value > 0.06:
                axis.text(start + value / 2, place, f"{value:.3f}", ha="center", va="center", fontsize=8)
            start += value
    axis.set(
        yticks=range(len(LOOKS)),
        yticklabels=[label for label, *_ in LOOKS.values()],
        xlabel="share of the 64 tokens",
        xlim=(0, 1),
    )
    axis.invert_yaxis()
    axis.grid(False)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)


def differences(readings: pd.DataFrame, own: list[Evaluation]) -> list[dict]:
    """2D minus 1D, by the network that both were trained on from."""
    by_kind: dict[str, dict] = {"2d": {}, "1d": {}}
    for e in own:
        if "axes" in e.options and e.options == e.run.options:
            by_kind[e.options["axes"]][e.run.parent.id] = readings[readings.evaluation_id == e.id].iloc[0]
    pairs = [(two, by_kind["1d"][parent]) for parent, two in by_kind["2d"].items() if parent in by_kind["1d"]]
    return [
        {
            "evaluation": two.evaluation_id,
            "run": two.run,
            "2d_minus_1d_accuracy": float(two.accuracy - one.accuracy),
            "2d_minus_1d_tokens": float(two.avg_tokens - one.avg_tokens),
        }
        for two, one in pairs
    ]
