"""Compute what adaptive tokens save and cost per row of Table 1, as the abstract's "42.4 % fewer tokens".

Tokens used by a row are its average tokens times its timesteps; STATIC uses 1 x T. Each seed is compared with STATIC of
that seed, as the row's network was pretrained, and with STATIC that was trained on as long as the row.
"""
# Tested in tests/pipeline/reporting/tables/test_table1.py

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.campaign.campaign import Campaign
from pipeline.reporting.tables.readings import seed_rows_of, warnings_text
from pipeline.reporting.tables.table1 import key_of, paper_rows

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = ["dataset", "method", "architecture", "timesteps", "fewer_tokens_mean", "fewer_tokens_std"]
COLUMNS += ["minus_static_mean", "minus_static_std", "minus_control_mean", "minus_control_std"]
COLUMNS += ["n", "paper_fewer_tokens", "paper_minus_static", "remarks", "scale"]


def savings(campaign: Campaign, readings: pd.DataFrame) -> pd.DataFrame:
    """Compare each row of Table 1 with its STATIC: percent fewer tokens and points of accuracy.

    Only rows that use fewer tokens (times timesteps) than STATIC in at least one seed are kept.
    """
    import pandas as pd

    paper, rows = paper_savings(), []
    for row in campaign.experiment.table1:
        seed_rows = seed_rows_of(readings, row)
        static, control = (reference(readings, seed_rows, name) for name in ("static", "static_control"))
        fewer = 100 * (1 - tokens_used(seed_rows) / tokens_used(static))
        if not (fewer > 0).any():
            continue
        first = seed_rows.iloc[0]
        saving = {"dataset": first.dataset_title, "method": first.title, "architecture": first.architecture, "n": len(seed_rows)}
        saving["remarks"] = warnings_text(
            pd.concat([seed_rows, static.dropna(subset="warnings"), control.dropna(subset="warnings")])
        )
        saving |= {"timesteps": round(seed_rows.timesteps.mean(), 2)} | summary("fewer_tokens", fewer)
        saving |= summary("minus_static", seed_rows.accuracy - static.accuracy) | summary(
            "minus_control", seed_rows.accuracy - control.accuracy
        )
        key = key_of(first.dataset, first.method, first.gamma, first.timesteps, bool(row.exit))
        rows.append(saving | (paper.get(key, {}) if first.as_in_paper else {}) | {"scale": campaign.experiment.scale})
    return pd.DataFrame(rows, columns=COLUMNS)


def reference(readings: pd.DataFrame, seed_rows: pd.DataFrame, method: str) -> pd.DataFrame:
    """Select for each seed's row its reference: the row of `method` that started from the same pretrained network, or blank.

    method: static (that network itself) or static_control (the same, retrained), at the timesteps that it was trained with.
    The index is that of `seed_rows`.
    """
    references = readings[
        (readings.method == method) & readings.retrained_options & (readings.timesteps == readings.trained_timesteps)
    ]
    by_pretrained = references.assign(pretrained=pretrained(references)).drop_duplicates("pretrained").set_index("pretrained")
    return by_pretrained.reindex(pretrained(seed_rows)).set_index(seed_rows.index)


def pretrained(readings: pd.DataFrame) -> pd.Series:
    """Name the run from which each row's network started: its parent, or itself where it has none."""
    return readings.parent.where(readings.parent != "", readings.run)


def tokens_used(readings: pd.DataFrame) -> pd.Series:
    """Multiply average tokens (share of all) by timesteps."""
    return readings.avg_tokens.astype(float) * readings.timesteps.astype(float)


def summary(name: str, values: pd.Series) -> dict:
    """Round mean and sample standard deviation of values to two digits."""
    values = values.astype(float)
    return {f"{name}_mean": round(values.mean(), 2) + 0.0, f"{name}_std": round(values.std(), 2)}  # no minus before a zero


def paper_savings() -> dict[tuple, dict]:
    """Compute tokens saved (%) and accuracy minus STATIC's (points) from the paper's printed Table 1, by the key of its rows."""
    paper, savings_of_row = paper_rows(), {}
    for _, rows in paper[paper.origin != "quoted"].groupby("dataset"):
        static = rows[rows.method == "static"].sort_values("timesteps").iloc[-1]
        for row in rows.itertuples():
            fewer = 100 * (1 - row.avg_tokens * row.timesteps / static.timesteps)
            savings_of_row[row.key] = {
                "paper_fewer_tokens": round(fewer, 1),
                "paper_minus_static": round(row.accuracy - static.accuracy, 2),
            }
    return savings_of_row
