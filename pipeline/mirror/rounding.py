"""Round metrics for MLflow as tables show them: 91.6 and not 91.60000000000001.

Records and tables keep every digit. MLflow's metrics are compared with the records' after both are rounded.
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
DUST = 1e-15  # of a number, or of 1 where it is smaller: what the last bits of sums and differences come to


def rounded(metrics: dict) -> dict[str, float]:
    """Flatten metrics to numbers by name, rounded as tables show them."""
    return {name: round_metric(name, value) for name, value in flatten(metrics).items()}


def round_metric(name: str, value: float) -> float:
    """Round the metric of a name; rounded again it stays the same. What no table shows keeps its digits but for the last bits."""
    if not math.isfinite(value):
        return value
    if ENERGY.search(name):
        return significant(value, 3)
    kind = INDEX.sub("", name.rpartition(".")[2])
    if kind in DIGITS:
        return significant(without_dust(value), DIGITS[kind])
    for ending, decimals in DECIMALS.items():
        if kind == ending or kind.endswith(f"_{ending}"):
            return round(value, decimals)
    return without_dust(value)


def significant(value: float, digits: int) -> float:
    """Round a number to significant digits, but never away from a whole number."""
    return float(f"{value:.{max(digits, len(str(int(abs(value)))))}g}")


def without_dust(value: float) -> float:
    """Give the short decimal that a number is but for its last bits, else the number: 24.1 for 24.099999999999998."""
    short = round(value, 12)
    return short if abs(short - value) <= DUST * max(1.0, abs(value)) else value
