"""Make the table of energy: what each layer of each evaluation costs."""

import pandas as pd

from pipeline.campaign import recorded
from pipeline.campaign.campaign import Campaign
from pipeline.reporting.tables.readings import describe

ENERGY_KEYS = ("dataset", "architecture", "title", "evaluation", "evaluation_id", "run", "seed")


def energy(campaign: Campaign) -> pd.DataFrame:
    """What each layer of each evaluation costs, per image over all timesteps: operations, what drives them, and pJ.

    rate and count: share of non-zero inputs and mean input, over the operations; live_tokens: mean over timesteps.
    """
    lines = []
    for evaluation in campaign.evaluations:
        if not evaluation.probe:
            common = {key: x for key, x in describe(campaign, evaluation).items() if key in ENERGY_KEYS} | {
                "timesteps": evaluation.timesteps
            }
            layers = recorded.results_of(campaign, evaluation.run)["evaluations"][evaluation.name]["layers"]
            lines += [common | energy_of(layer) for layer in layers]
    return pd.DataFrame(lines)


def energy_of(layer: dict) -> dict:
    operations = pd.Series(layer["operations"], dtype=float)
    share = operations / (operations.sum() or 1)
    told = {key: layer[key] for key in ("module", "block", "layer")}
    told |= {"operations": operations.sum(), "live_tokens": pd.Series(layer["live_tokens"], dtype=float).mean()}
    told |= {key: (share * pd.Series(layer[key], dtype=float)).sum() for key in ("rate", "count")}
    return told | {f"pJ_{name}": sum(values) for name, values in layer["pJ"].items()}
