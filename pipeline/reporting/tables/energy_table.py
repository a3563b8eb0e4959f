"""Make the table of energy: a row per layer of each evaluation."""
# Tested in tests/pipeline/reporting/figures/test_ablations_and_energy.py

import pandas as pd

from pipeline.campaign import recorded
from pipeline.campaign.campaign import Campaign
from pipeline.reporting.tables.readings import describe

ENERGY_KEYS = ("dataset", "architecture", "title", "evaluation", "evaluation_id", "run", "seed")


def energy(campaign: Campaign) -> pd.DataFrame:
    """Tabulate each layer of each evaluation per image, over all timesteps: operations, their inputs, and energy in pJ.

    rate and count: share of non-zero inputs and mean input, over the operations; live_tokens: mean over timesteps.
    """
    rows = []
    for evaluation in campaign.evaluations:
        if not evaluation.probe:
            common = {key: x for key, x in describe(campaign, evaluation).items() if key in ENERGY_KEYS} | {
                "timesteps": evaluation.timesteps
            }
            layers = recorded.results_of(campaign, evaluation.run)["evaluations"][evaluation.name]["layers"]
            rows += [common | energy_of(layer) for layer in layers]
    return pd.DataFrame(rows)


def energy_of(layer: dict) -> dict:
    """Sum a layer's operations and pJ over timesteps; average rate and count over operations, live tokens over timesteps."""
    operations = pd.Series(layer["operations"], dtype=float)
    share = operations / (operations.sum() or 1)
    row = {key: layer[key] for key in ("module", "block", "layer")}
    row |= {"operations": operations.sum(), "live_tokens": pd.Series(layer["live_tokens"], dtype=float).mean()}
    row |= {key: (share * pd.Series(layer[key], dtype=float)).sum() for key in ("rate", "count")}
    return row | {f"pJ_{name}": sum(values) for name, values in layer["pJ"].items()}
