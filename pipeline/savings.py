"""What adaptive tokens save and cost, per row of Table 1: the abstract's "42.4 % fewer tokens", computed for every row.

Tokens used by a row are its average tokens times its timesteps; STATIC uses 1 x T. Each seed is compared with STATIC of
that seed, as the row's network was pretrained, and with STATIC that was trained on as long as the row.
"""

import pandas as pd

from pipeline.campaign import Campaign
from pipeline.readings import of_row
from pipeline.table1 import key_of, paper_rows

REFERENCES = {"static": "minus_static", "static_control": "minus_control"}


def savings(campaign: Campaign, readings: pd.DataFrame) -> pd.DataFrame:
    """A line per row that uses fewer tokens or timesteps than STATIC; percent of tokens, points of accuracy."""
    paper, lines = paper_savings(), []
    for row in campaign.experiment.table1:
        own = of_row(readings, row)
        static = reference(readings, own.iloc[0].dataset, "static")
        if static.empty:
            continue
        fewer = [100 * (1 - use(line) / use(static.loc[line.seed])) for line in own.itertuples()]
        if max(fewer) <= 0:
            continue
        first = own.iloc[0]
        key = key_of(first.dataset, first.method, first.gamma, first.timesteps, bool(row.exit))
        told = {"dataset": first.dataset_title, "method": first.title, "timesteps": round(own.timesteps.mean(), 2)}
        told |= summary("fewer_tokens", pd.Series(fewer))
        for name, column in REFERENCES.items():
            other = reference(readings, first.dataset, name)
            told |= summary(column, own.set_index("seed").accuracy - other.accuracy if len(other) else pd.Series(dtype=float))
        said = paper.get(key, {}) if first.as_in_paper else {}
        lines.append(told | {"n": len(own)} | said | {"scale": campaign.experiment.scale})
    return pd.DataFrame(lines)


def reference(readings: pd.DataFrame, dataset: str, method: str) -> pd.DataFrame:
    """A static method's readings at the timesteps it was trained with, by seed."""
    own = readings[(readings.dataset == dataset) & (readings.method == method) & readings.retrained_options]
    return own[own.timesteps == own.trained_timesteps].drop_duplicates("seed").set_index("seed")


def use(line) -> float:
    return line.avg_tokens * line.timesteps


def summary(name: str, values: pd.Series) -> dict:
    return {f"{name}_mean": round(values.mean(), 2), f"{name}_std": round(values.std(), 2)}


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
