"""Round metrics for MLflow as tables show them: 91.6 and not 91.60000000000001.

What no table shows, as probes' means and shares, has 6 significant digits; whole numbers are exact. Records and tables keep every
digit. MLflow's metrics are compared with the records' after both are rounded, so a store may hold more digits than are logged now.
"""

import math
import re

from pipeline.campaign.recorded import flatten

# Decimals by what a metric's name ends with, the numbers of a list aside; tables and report show as many
DECIMALS = {"accuracy": 2, "timesteps": 2, "changed_from_float32": 2, "average_tokens": 4, "threshold": 4}
DIGITS = dict.fromkeys(("tokens_by_block", "merged_by_block", "halted_by_block", "train_loss", "train_ponder", "ponder"), 4)
DIGITS |= dict.fromkeys(("learning_rate", "images_per_second", "waiting_for_data"), 3)
ENERGY = re.compile(r"(?:^|\.)energy\.")
INDEX = re.compile(r"(?:_by_timestep)?(?:_\d+)*$")
OTHER_DIGITS = 6  # of a metric that no table shows: about as many as float32 and thousands of images make certain
EXACT_DECIMALS = 12  # the last bits of sums and differences of shares lie beyond: 2.2e-16 is 0


def rounded(metrics: dict) -> dict[str, float]:
    """Flatten metrics to numbers by name, rounded as tables show them."""
    return {name: round_metric(name, value) for name, value in flatten(metrics).items()}


def round_metric(name: str, value: float) -> float:
    """Round the metric of a name; rounded again it stays the same."""
    if not math.isfinite(value):
        return value
    if ENERGY.search(name):
        return significant(value, 3)
    kind = INDEX.sub("", name.rpartition(".")[2])
    for ending, decimals in DECIMALS.items():
        if kind == ending or kind.endswith(f"_{ending}"):
            return round(value, decimals)
    return significant(round(value, EXACT_DECIMALS), DIGITS.get(kind, OTHER_DIGITS))


def significant(value: float, digits: int) -> float:
    """Round a number to significant digits, but never away from a whole number."""
    return float(f"{value:.{max(digits, len(str(int(abs(value)))))}g}")
