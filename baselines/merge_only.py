"""Merge only: AT-SNN without halting, since merging explains most of the tokens that are saved."""
# Tested in tests/baselines/test_losses.py

from typing import Literal

from baselines import MethodOptions, static
from baselines.at_snn import Gamma

TITLE = "Merge only"
PARENTS = ("static",)
ADAPTS_TOKENS = True
NEVER = {"alpha": 0.0, "beta": -200.0}  # of Eq. 3: scores stay below 1e-86, so nothing halts before the last block


class Options(MethodOptions):
    """Options of AT-SNN that concern merging; defaults are the paper's."""

    gamma: Gamma
    partner: Literal["per_timestep", "fixed"] = "per_timestep"
    head_norm: Literal["tokens", "initial"] = "tokens"


def build(backbone, options: Options):
    """Build the AT-SNN network of a backbone, with scores that never halt a token."""
    from models.at_snn import ATSNN

    return ATSNN(backbone, **options.model_dump(), **NEVER)


loss = static.loss  # the ponder loss is constant where nothing halts
