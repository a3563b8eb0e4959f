"""Compare the three readings of Eq. 4 on the same weights and, where such runs are declared, retrained for each."""
# Tested in tests/pipeline/reporting/figures/test_figures.py

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.reporting.drawing import campaign_results, canvas, fate_bars
from pipeline.reporting.drawing.missing_data import MissingData

if TYPE_CHECKING:
    import pandas as pd


TITLE = "Three readings of the halting condition"
DEFINITION = (
    "What a token's scores are summed over before it is compared with 1 - ε: inclusive, blocks 1 to l of timesteps 1 to t (the "
    "default; ACT's and A-ViT's); printed, blocks 1 to l - 1 (Eq. 4 as it stands); example, blocks 1 to l - 1 of timesteps 1 to t "
    "and block l of timestep t (section 3.1's example). Filled: trained with that reading; hollow: the weights of another, only "
    "evaluated. Dots are seeds, those that all have; the large marker is their mean, with the standard deviation. Right: where the tokens went, mean over "
    "blocks, timesteps, images and seeds."
)
MOST_EVALUATIONS = None
LOOKS = {"inclusive": (canvas.BLUE, "D"), "printed": (canvas.ORANGE, "s"), "example": (canvas.GREEN, "^")}
SEED_KEYS = ("evaluation", "run", "reading", "retrained", "accuracy", "tokens")


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a row of panels per data set, a line per evaluation; methods that halt nothing are references."""
    if not any("reading" in e.options for e in evaluations):
        raise MissingData("no evaluation here halts tokens: name one of a method with the option reading")
    readings = campaign_results.at_all_timesteps(campaign_results.table(campaign, "readings", evaluations))
    rows, seeds = [], []
    for data_evaluations in map(campaign_results.common_seeds, campaign_results.by_data(evaluations).values()):
        entries = [numbers_of_seed(campaign, readings[readings.evaluation_id == e.id].iloc[0], e) for e in data_evaluations]
        rows.append([summarise(group) for group in campaign_results.grouped(entries, lambda seed: seed["name"]).values()])
        seeds += [{key: seed[key] for key in (*SEED_KEYS, *fate_bars.COLOURS)} for seed in entries]
    points = [line for lines in rows for line in lines]
    caption = f"Mean and standard deviation over {campaign_results.seeds(point['n'] for point in points)}."
    if not any(point["halted"] > 1e-9 for point in points):
        caption += " Nothing halts before the last block under any reading."
    return fate_bars.beside(rows, paint), {"caption": caption, "points": points, "seeds": seeds}


def numbers_of_seed(campaign: Campaign, row: pd.Series, evaluation: Evaluation) -> dict:
    """Collect one seed's numbers: accuracy in percent, tokens and their fates as shares of 64, and what was retrained."""
    numbers = {"evaluation": evaluation.id, "run": evaluation.run.id, "name": evaluation.name, "title": row.title}
    numbers |= {"method": row.method, "dataset": row.dataset_title, "reading": evaluation.options.get("reading")}
    as_trained = bool(row.retrained_options and row.timesteps == row.trained_timesteps)
    numbers |= {"timesteps": int(row.timesteps), "trained_timesteps": int(row.trained_timesteps)}
    numbers |= {"retrained": as_trained, "accuracy": float(row.accuracy), "tokens": float(row.avg_tokens)}
    return numbers | fate_bars.shares(campaign, evaluation)


def summarise(seeds: list[dict]) -> dict:
    """Summarise one evaluation over its seeds."""
    shared_keys = ("reading", "retrained", "title", "method", "dataset", "timesteps", "trained_timesteps")
    point = {key: seeds[0][key] for key in shared_keys}
    point |= {"evaluation": seeds[0]["name"], "n": len(seeds), "accuracies": [seed["accuracy"] for seed in seeds]}
    for key in ("accuracy", "tokens"):
        values = np.array([seed[key] for seed in seeds])
        point |= {key: float(values.mean()), f"{key}_std": float(values.std(ddof=1)) if len(seeds) > 1 else None}
    return point | {key: float(np.mean([seed[key] for seed in seeds])) for key in fate_bars.COLOURS}


def paint(left, right, lines: list[dict]) -> None:
    """Draw accuracies as points, and shares of tokens as bars."""
    for place, line in enumerate(lines):
        colour, marker = LOOKS.get(line["reading"]) or canvas.look(line["method"]).values()
        seeds = np.array(line["accuracies"])
        left.plot(seeds, [place] * len(seeds), ".", color=colour, alpha=0.6)
        style = {"color": colour, "marker": marker, "mfc": colour if line["retrained"] else "white"}
        left.errorbar(line["accuracy"], place, xerr=line["accuracy_std"], capsize=2, ms=7, **style)
        fate_bars.bar(right, place, line)
    left.set(yticks=range(len(lines)), yticklabels=map(label, lines), title=lines[0]["dataset"], ylim=(len(lines) - 0.5, -0.5))
    left.set_xlabel("accuracy (%)")
    fate_bars.scale(right)


def label(line: dict) -> str:
    """Name a line by its reading, or its method where it has none, with the accuracy below."""
    timesteps = f" (T = {line['timesteps']})" if line["timesteps"] != line["trained_timesteps"] else ""
    name = f"{line['reading']}{timesteps}" if line["reading"] else line["title"]
    return f"{name}{'' if line['retrained'] else ', same weights'}\n{fate_bars.with_spread(line)} %"
