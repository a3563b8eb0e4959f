"""What adaptive tokens save and cost, per row of Table 1: the abstract's "42.4 % fewer tokens", computed for every row.

Tokens used by a row are its average tokens times its timesteps; STATIC uses 1 x T. Each seed is compared with STATIC of
that seed, as the row's network was pretrained, and with STATIC that was trained on as long as the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.campaign.campaign import Campaign
from pipeline.reporting.tables.readings import doubts, of_row
from pipeline.reporting.tables.table1 import key_of, paper_rows

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = ["dataset", "method", "architecture", "timesteps", "fewer_tokens_mean", "fewer_tokens_std"]
COLUMNS += ["minus_static_mean", "minus_static_std", "minus_control_mean", "minus_control_std"]
COLUMNS += ["n", "paper_fewer_tokens", "paper_minus_static", "remarks", "scale"]


def savings(campaign: Campaign, readings: pd.DataFrame) -> pd.DataFrame:
    """A line per row that uses fewer tokens or timesteps than its STATIC; percent of tokens, points of accuracy."""
    import pandas as pd

    paper, lines = paper_savings(), []
    for row in campaign.experiment.table1:
        own = of_row(readings, row)
        static, control = (reference(readings, own, name) for name in ("static", "static_control"))
        fewer = 100 * (1 - use(own) / use(static))
        if not (fewer > 0).any():
            continue
        first = own.iloc[0]
        told = {"dataset": first.dataset_title, "method": first.title, "architecture": first.architecture, "n": len(own)}
        told["remarks"] = doubts(pd.concat([own, static.dropna(subset="warnings"), control.dropna(subset="warnings")]))
        told |= {"timesteps": round(own.timesteps.mean(), 2)} | summary("fewer_tokens", fewer)
        told |= summary("minus_static", own.accuracy - static.accuracy) | summary(
            "minus_control", own.accuracy - control.accuracy
        )
        key = key_of(first.dataset, first.method, first.gamma, first.timesteps, bool(row.exit))
        lines.append(told | (paper.get(key, {}) if first.as_in_paper else {}) | {"scale": campaign.experiment.scale})
    return pd.DataFrame(lines, columns=COLUMNS)


def reference(readings: pd.DataFrame, own: pd.DataFrame, method: str) -> pd.DataFrame:
    """For each line of a row, STATIC that its network was trained on from, or that network's STATIC, retrained; or blank.

    Both at the timesteps that they were trained with. The index is that of `own`.
    """
    found = readings[
        (readings.method == method) & readings.retrained_options & (readings.timesteps == readings.trained_timesteps)
    ]
    by_pretrained = found.assign(pretrained=pretrained(found)).drop_duplicates("pretrained").set_index("pretrained")
    return by_pretrained.reindex(pretrained(own)).set_index(own.index)


def pretrained(readings: pd.DataFrame) -> pd.Series:
    """The run from which each reading's network started: its parent, or itself."""
    return readings.parent.where(readings.parent != "", readings.run)


def use(readings: pd.DataFrame) -> pd.Series:
    return readings.avg_tokens.astype(float) * readings.timesteps.astype(float)


def summary(name: str, values: pd.Series) -> dict:
    values = values.astype(float)
    return {f"{name}_mean": round(values.mean(), 2) + 0.0, f"{name}_std": round(values.std(), 2)}  # no minus before a zero


def paper_savings() -> dict[tuple, dict]:
    """The same from the numbers that the paper's Table 1 prints, by the key of its rows."""
    paper, found = paper_rows(), {}
    for _, rows in paper[paper.origin != "quoted"].groupby("dataset"):
        static = rows[rows.method == "static"].sort_values("timesteps").iloc[-1]
        for row in rows.itertuples():
            fewer = 100 * (1 - row.avg_tokens * row.timesteps / static.timesteps)
            found[row.key] = {
                "paper_fewer_tokens": round(fewer, 1),
                "paper_minus_static": round(row.accuracy - static.accuracy, 2),
            }
    return found
