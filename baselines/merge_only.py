"""Merge only: AT-SNN without halting, since merging explains most of the tokens that are saved."""

from typing import Literal

from pydantic import Field

from baselines import MethodOptions, static

TITLE = "Merge only"
PARENTS = ("static",)
ADAPTS_TOKENS = True
NEVER = {"alpha": 0.0, "beta": -200.0}  # Eq. 3: scores below 1e-86


class Options(MethodOptions):
    gamma: int = Field(ge=0)
    partner: Literal["per_timestep", "fixed"] = "per_timestep"
    head_norm: Literal["tokens", "initial"] = "tokens"


def build(backbone, options: Options):
    from models.at_snn import ATSNN

    return ATSNN(backbone, **options.model_dump(), **NEVER)


loss = static.loss  # the ponder loss is a constant where nothing halts
